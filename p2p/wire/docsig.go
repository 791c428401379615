package wire

import (
	"encoding/binary"
	"slices"

	"github.com/hum-presence/hum/identity"
)

// ExtBy names the extension of a Doc that holds the signature of its device (SPEC 14.118). The keys of an epoch do not
// tell the devices of an address apart, and a delegate holds them too.
const ExtBy = "by"

// SignDoc has the device of d sign it, for one epoch, tag and stamp.
func SignDoc(k identity.SigningKey, e PublicKey, tag Tag, t Stamp, d Doc) Doc {
	sig := k.Sign("doc", docMessage(e, tag, t, d))
	d.Ext = append(slices.Clip(d.Ext), Ext{Name: ExtBy, Value: sig[:]})
	return d
}

// UnsignDoc returns d without the signature of its device, and whether there was one that holds by key.
func UnsignDoc(key PublicKey, e PublicKey, tag Tag, t Stamp, d Doc) (_ Doc, signed bool) {
	i := slices.IndexFunc(d.Ext, func(x Ext) bool { return x.Name == ExtBy })
	if i < 0 {
		return d, false
	}
	value := d.Ext[i].Value
	if d.Ext = slices.Delete(slices.Clone(d.Ext), i, i+1); len(d.Ext) == 0 {
		d.Ext = nil
	}
	return d, len(value) == len(identity.Signature{}) && identity.Verify(key, "doc", docMessage(e, tag, t, d), identity.Signature(value))
}

func docMessage(e PublicKey, tag Tag, t Stamp, d Doc) []byte {
	b := append(append([]byte{}, e[:]...), tag[:]...)
	return d.Append(binary.BigEndian.AppendUint64(b, uint64(t)))
}
