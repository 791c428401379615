package exact

// Go is the version whose runtime the patches below were made for and tried on.
const Go = "go1.26.8"

// A patch replaces text that stands so many times in a file of GOROOT/src, once if times is 0.
type patch struct {
	file     string
	old, new string
	times    int
}

// patches is the whole difference between an exact program and an ordinary one. In short: whatever the runtime
// draws on behalf of a goroutine that belongs to a node comes from that node's own stream; goroutines run in the
// order in which they became ready; nothing that depends on real time moves them; the heap is collected only
// between two instants of virtual time.
//
// A node's goroutines therefore do the same whatever else runs beside them, so that a run is the same also when its
// nodes are spread over several processes. That two nodes' goroutines take turns differently does not matter, as
// nodes meet over links alone, whose latency is never 0.
var patches = []patch{
	// One seed for all that is drawn at the start of the process: keys of hashes, and streams of threads.
	{"runtime/rand.go",
		"\tglobalRand.state.Init(*seed)\n",
		"\tfor i := range seed {\n\t\tseed[i] = byte(i + 1)\n\t}\n\tglobalRand.state.Init(*seed)\n", 0},

	// A map's hash is the same in every map, so that nobody draws because he happens to be the first who needs one.
	{"internal/runtime/maps/map.go", "m.seed = uintptr(rand())", "m.seed = 0x6d617073", 4},
	{"internal/sync/hashtriemap.go", "ht.seed = uintptr(runtime_rand())", "ht.seed = 0x6d617073", 0},

	// A pointer that is the key of a map is hashed by a number that its object is given when it is first asked for, and not by its
	// address: where an object lies depends on all that was allocated before, also by the runtime itself and in real time.
	{"internal/runtime/maps/map.go", "typ.Hasher(", "simHash(typ, ", 5},
	{"internal/runtime/maps/runtime.go", "typ.Hasher(", "simHash(typ, ", 3},
	{"internal/runtime/maps/runtime_fast64.go", "typ.Hasher(", "simHash(typ, ", 4},
	{"internal/runtime/maps/table.go", "typ.Hasher(", "simHash(typ, ", 4},
	{"internal/runtime/maps/runtime.go",
		"//go:linkname rand\nfunc rand() uint64\n",
		`//go:linkname rand
func rand() uint64

//go:noescape
//go:linkname simHash runtime.simHash
func simHash(typ *abi.MapType, key unsafe.Pointer, seed uintptr) uintptr
`, 0},
	{"internal/sync/hashtriemap.go",
		"\tht.keyHash = mapType.Hasher\n",
		"\tht.keyHash = func(key unsafe.Pointer, seed uintptr) uintptr { return simHash(mapType, key, seed) }\n", 0},
	{"internal/sync/hashtriemap.go",
		"type hashFunc func(unsafe.Pointer, uintptr) uintptr\n",
		`type hashFunc func(unsafe.Pointer, uintptr) uintptr

//go:noescape
//go:linkname simHash runtime.simHash
func simHash(typ *abi.MapType, key unsafe.Pointer, seed uintptr) uintptr
`, 0},
	{"runtime/alg.go",
		"\tif t.TFlag&abi.TFlagRegularMemory != 0 {\n",
		`	switch t.Kind() {
	case abi.Pointer, abi.Chan, abi.UnsafePointer:
		id := simID(*(*uintptr)(p))
		return memhash64(noescape(unsafe.Pointer(&id)), h)
	}
	if t.TFlag&abi.TFlagRegularMemory != 0 && t.PtrBytes == 0 {
`, 0},
	{"runtime/alg.go",
		"//go:linkname reflect_typehash reflect.typehash\n",
		`// simHash hashes the key of a map.
func simHash(typ *abi.MapType, key unsafe.Pointer, seed uintptr) uintptr {
	if k := typ.Key; k.PtrBytes != 0 {
		switch k.Kind() {
		case abi.Pointer, abi.Chan, abi.UnsafePointer, abi.Struct, abi.Array:
			return typehash(k, key, seed)
		}
	}
	return typ.Hasher(key, seed)
}

const simKindID = 200

var simIDs uintptr

// simID is the number of what lies at an address. It is a special of the object, and goes with it.
func simID(p uintptr) (id uintptr) {
	span := spanOfHeap(p)
	if span == nil {
		return p
	}
	mp := acquirem()
	span.ensureSwept()
	offset := p - span.base()
	lock(&span.speciallock)
	ref, exists := span.specialFindSplicePoint(offset, simKindID)
	if exists {
		id = (*specialPinCounter)(unsafe.Pointer(*ref)).counter
	} else {
		lock(&mheap_.speciallock)
		rec := (*specialPinCounter)(mheap_.specialPinCounterAlloc.alloc())
		simIDs++
		id = simIDs
		unlock(&mheap_.speciallock)
		if gp := mp.curg; gp != nil && gp.simStream != nil && gp.bubble != nil {
			// Of the node and the instant, but that many at one instant differ: what a library does once in each process
			// for whoever comes first must not change the numbers of what comes later.
			s := gp.simStream
			s.ids = s.idsAt(gp.bubble.now)
			s.now = gp.bubble.now
			id = uintptr(simMix(s.still() + s.ids>>6))
			s.ids++
		}
		rec.special.offset = offset
		rec.special.kind = simKindID
		rec.special.next = *ref
		rec.counter = id
		*ref = (*special)(unsafe.Pointer(rec))
		spanHasSpecials(span)
	}
	unlock(&span.speciallock)
	releasem(mp)
	return id
}

//go:linkname reflect_typehash reflect.typehash
`, 0},
	{"runtime/mheap.go",
		"\tcase _KindSpecialPinCounter:\n",
		"\tcase _KindSpecialPinCounter, simKindID:\n", 0},

	// What a goroutine draws for the order of maps, math/rand and select comes from the stream of its node.
	{"runtime/rand.go",
		"//go:nosplit\n//go:linkname rand\nfunc rand() uint64 {\n",
		`//go:nosplit
//go:linkname rand
func rand() uint64 {
	if gp := getg().m.curg; gp != nil && gp.simStream != nil {
		return 0x6d617073 // called by compiled code for the seed of a map
	}
`, 0},
	{"math/rand/rand.go", "runtime_rand runtime.rand\n", "runtime_rand runtime.simDraw\n", 0},
	{"math/rand/v2/rand.go", "runtime_rand runtime.rand\n", "runtime_rand runtime.simDraw\n", 0},
	{"os/tempfile.go", "runtime_rand runtime.rand\n", "runtime_rand runtime.simDraw\n", 0},
	{"runtime/rand.go",
		"func legacy_fastrand() uint32 {\n\treturn uint32(rand())\n", "func legacy_fastrand() uint32 {\n\treturn uint32(simDraw())\n", 0},
	{"runtime/rand.go",
		"func legacy_fastrand64() uint64 {\n\treturn rand()\n", "func legacy_fastrand64() uint64 {\n\treturn simDraw()\n", 0},

	// So does the order of a map, but it takes nothing from the stream: a cache that the first who needs it fills walks maps too.
	{"runtime/rand.go",
		"func maps_rand() uint64 {\n",
		`func maps_rand() uint64 {
	if gp := getg().m.curg; gp != nil && gp.simStream != nil && gp.bubble != nil {
		s := gp.simStream
		s.ids = s.idsAt(gp.bubble.now)
		s.now = gp.bubble.now
		return s.still()
	}
`, 0},
	{"runtime/rand.go",
		"//go:linkname maps_rand internal/runtime/maps.rand\n",
		`// A simStream is what chance is for a node. Package virtual knows it as four words.
type simStream struct {
	state uint64 // of splitmix64
	seed  uint64
	now   int64  // the instant of what follows
	ids   uint64 // that were given to objects
}

//go:nosplit
func simMix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// next takes the next number of the stream.
//
//go:nosplit
func (s *simStream) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	return simMix(s.state)
}

// still is the same for a whole instant, and takes nothing.
func (s *simStream) still() uint64 {
	return simMix(s.seed ^ simMix(uint64(s.now)))
}

func (s *simStream) idsAt(now int64) uint64 {
	if s.now != now {
		return 0
	}
	return s.ids
}

// simDraw is rand for what goroutines of a node can see.
func simDraw() uint64 {
	if gp := getg().m.curg; gp != nil && gp.simStream != nil {
		return gp.simStream.next()
	}
	return rand()
}

// simRand is cheaprand for what goroutines of a node can see.
func simRand() uint32 {
	if gp := getg().m.curg; gp != nil && gp.simStream != nil {
		return uint32(gp.simStream.next() >> 32)
	}
	return cheaprand()
}

// simOn says that order is kept from now on.
var simOn bool

// simEnter gives the calling goroutine, and what it starts from now on, a stream; it returns the one before.
//
//go:linkname simEnter
func simEnter(s *simStream) *simStream {
	gp := getg()
	before := gp.simStream
	gp.simStream = s
	simOn = true
	return before
}

// simMinute is the minute of virtual time in which pools were last emptied.
var simMinute int64

// simCollect collects the heap if it has doubled, and empties pools of what was not used for a minute. The root of a bubble calls it
// between two instants.
func simCollect() {
	if minute := getg().bubble.now / 60e9; simOn && minute != simMinute {
		simMinute = minute
		poolcleanup()
	}
	if simOn && gcController.heapLive.Load() > 2*max(gcController.heapMarked, 16<<20) {
		GC()
	}
}

//go:linkname maps_rand internal/runtime/maps.rand
`, 0},
	{"runtime/runtime2.go",
		"\tbubble  *synctestBubble\n",
		"\tbubble  *synctestBubble\n\n\tsimStream *simStream // what this goroutine draws comes from it, unless nil\n", 0},
	{"runtime/proc.go",
		"\t\tnewg.bubble = callergp.bubble\n",
		"\t\tnewg.bubble = callergp.bubble\n\t\tnewg.simStream = callergp.simStream\n", 0},
	{"runtime/proc.go",
		"\tgp.bubble = nil\n\tgp.fipsOnlyBypass = false\n",
		"\tgp.bubble = nil\n\tgp.simStream = nil\n\tgp.fipsOnlyBypass = false\n", 0},
	{"runtime/select.go",
		"\t\tj := cheaprandn(uint32(norder + 1))\n",
		"\t\tj := uint32((uint64(simRand()) * uint64(norder+1)) >> 32)\n", 0},

	// Of timers that are due at once those of one node have an order that its own stream gives them, and what they start belongs
	// to the node that set them.
	{"runtime/time.go",
		"\trand    uint32 // randomizes order of timers at same instant; only set when isFake\n",
		"\trand    uint32 // randomizes order of timers at same instant; only set when isFake\n\n\tsimStream *simStream // of the goroutine that set it\n", 0},
	{"runtime/time.go",
		"\tt.when = when\n",
		"\tt.when = when\n\tif t.isFake {\n\t\tt.rand = simRand()\n\t}\n", 0},
	{"runtime/time.go",
		"\t\t\tt.rand = cheaprand()\n", "", 0},
	// A timer that is due when it is set runs with all others of its instant, always: whether it would run at once depends on
	// whether what is left of its last time still lies in the heap, which is that of all nodes.
	{"runtime/time.go",
		"\tif add && t.isFake {\n", "\tif add && t.isFake && !simOn {\n", 0},
	{"runtime/time.go",
		"\tt.lock()\n\tif async {\n\t\tt.maybeRunAsync()\n\t}\n\tt.trace(\"modify\")\n",
		"\tif t.isFake && simOn {\n\t\twhen = max(when, getg().bubble.now)\n\t}\n\n\tt.lock()\n\tif async {\n\t\tt.maybeRunAsync()\n\t}\n\tt.trace(\"modify\")\n", 0},
	{"runtime/time.go",
		"type timerWhen struct {\n\ttimer *timer\n\twhen  int64\n}\n",
		"type timerWhen struct {\n\ttimer *timer\n\twhen  int64\n\trand  uint32\n}\n", 0},
	{"runtime/time.go", "return tw.timer.rand < other.timer.rand", "return tw.rand < other.rand", 0},
	{"runtime/time.go", "timerWhen{t, t.when}", "timerWhen{t, t.when, t.rand}", 0},
	{"runtime/time.go", "\t\tts.heap[0].when = t.when\n", "\t\tts.heap[0].when, ts.heap[0].rand = t.when, t.rand\n", 0},
	{"runtime/time.go", "\t\t\ttw.when = t.when\n", "\t\t\ttw.when, tw.rand = t.when, t.rand\n", 0},
	{"runtime/time.go",
		"\tif bubble := getg().bubble; bubble != nil {\n\t\tt.isFake = true\n\t}\n",
		"\tif bubble := getg().bubble; bubble != nil {\n\t\tt.isFake = true\n\t\tt.simStream = getg().simStream\n\t}\n", 0},
	{"runtime/time.go",
		"\t\tgp.bubble = bubble\n\t\tbubble.changegstatus(gp, _Gdead, _Grunning)\n",
		"\t\tgp.bubble = bubble\n\t\tgp.simStream = t.simStream\n\t\tbubble.changegstatus(gp, _Gdead, _Grunning)\n", 0},
	{"runtime/time.go",
		"\t\tgp.bubble = nil\n\t}\n\n\tif ts != nil {\n\t\tts.lock()\n\t}\n",
		"\t\tgp.bubble = nil\n\t\tgp.simStream = nil\n\t}\n\n\tif ts != nil {\n\t\tts.lock()\n\t}\n", 0},

	// Goroutines run in the order in which they became ready, and are not interrupted.
	{"runtime/proc.go",
		"func runqput(pp *p, gp *g, next bool) {\n",
		`func runqput(pp *p, gp *g, next bool) {
	if simOn {
		lock(&sched.lock)
		globrunqput(gp)
		unlock(&sched.lock)
		return
	}
`, 0},
	{"runtime/proc.go",
		"\tif pp.schedtick%61 == 0 && !sched.runq.empty() {\n",
		"\tif pp.schedtick%61 == 0 && !simOn && !sched.runq.empty() {\n", 0},
	{"runtime/proc.go",
		"func retake(now int64) uint32 {\n\tn := 0\n",
		"func retake(now int64) uint32 {\n\tif simOn {\n\t\treturn 0\n\t}\n\tn := 0\n", 0},

	// A mutex that is waited for does not turn unfair because real time has passed.
	{"runtime/sema.go",
		"func internal_sync_nanotime() int64 {\n",
		"func internal_sync_nanotime() int64 {\n\tif bubble := getg().bubble; bubble != nil {\n\t\treturn bubble.now\n\t}\n", 0},

	// The heap is collected when all of the bubble waits. When that is depends on the nodes of the process and on where things lie, so
	// what is in a sync.Pool must not: a cache may keep there what it has yet to learn, as that of badger does.
	{"runtime/mgc.go",
		"\tif poolcleanup != nil {\n", "\tif poolcleanup != nil && !simOn {\n", 0},
	{"runtime/synctest.go",
		"\t\tbubble.now = next\n\t}\n",
		"\t\tbubble.now = next\n\t\tunlock(&bubble.mu)\n\t\tsimCollect()\n\t\tlock(&bubble.mu)\n\t}\n", 0},
}
