//go:build netns

package process

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// doctor is what hum doctor finds of one thing.
func (h *Home) doctor(t *testing.T, check string) string {
	t.Helper()
	for _, line := range Lines(t, h.Run("doctor").Out) {
		if line["check"] == check {
			return fmt.Sprint(line["detail"])
		}
	}
	return ""
}

// A node behind a router is reached through the relay of its community. The router begins to speak NAT-PMP and opens the port that it is asked for; the community's node gets through, doctor
// says at which address, the card names it, and a stranger who is nobody's member dials it without any relay
// (requirement S44, AutoNAT and port mapping).
func TestNAT_PortMapped(t *testing.T) {
	bin := shared(t)
	n := newInternet(t, "e")
	const outside = "5.9.1.1"
	n.public("club", "5.9.0.1")
	n.home("alice", outside, "")
	n.public("bob", "5.9.3.1")
	club, alice, bob := n.community(bin, "club", "club"), n.person(bin, "alice", "alice"), n.person(bin, "bob", "bob")
	members(t, club, alice)
	if got := alice.doctor(t, "nat"); !strings.Contains(got, "reached through the relay of club") {
		t.Errorf("behind her router: %s", got)
	}

	n.rules("alicer", `table ip nat {
	chain in {
		type nat hook prerouting priority dstnat
	}
	chain out {
		type nat hook postrouting priority srcnat
		oifname "wan" masquerade
	}
}
table ip filter {
	chain in {
		type filter hook input priority filter
		policy drop
		iifname { "lo", "lan" } accept
		ct state established,related accept
	}
	chain through {
		type filter hook forward priority filter
		policy drop
		iifname "lan" accept
		ct state established,related accept
		ct status dnat accept
	}
}
`)
	mapped := n.mapper("alicer", "192.168.1.1", outside)
	alice.Kill()
	if err := alice.Up(); err != nil { // a router is looked for at the start
		t.Fatal(err)
	}
	Eventually(t, Patience, "the router is asked for a port", func() bool { return mapped() > 0 })
	Eventually(t, Patience, "the community's node gets through", func() bool {
		return strings.Contains(alice.doctor(t, "nat"), "dialled from outside at /ip4/"+outside)
	})
	bob.Must(t, "add", card(t, alice), "--as", "alice")
	club.Kill()
	if got := way(t, bob, "alice"); strings.Contains(got, "through the relay") {
		t.Errorf("it went through a relay: %s", got)
	}
}

// mapper runs what a router answers of UPnP on a host, and returns how many ports it has opened so far.
func (n *internet) mapper(at, within, outside string) (mapped func() int) {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", n.ns(at), self, "-test.run", "^TestHelperMapper$")
	cmd.Env = append(os.Environ(), "HUM_MAPPER="+within, "HUM_OUTSIDE="+outside)
	out := &lines{}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	Eventually(n.t, Patience, "the router listens", func() bool { return out.count("listening") == 1 })
	return func() int { return out.count("opened") }
}

const (
	igdService = "urn:schemas-upnp-org:service:WANIPConnection:1"
	igd        = `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>router</friendlyName><UDN>uuid:1</UDN><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><friendlyName>wan</friendlyName><UDN>uuid:2</UDN><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><friendlyName>connection</friendlyName><UDN>uuid:3</UDN><serviceList><service>
<serviceType>` + igdService + `</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/control</controlURL><eventSubURL>/events</eventSubURL>
<SCPDURL>/service.xml</SCPDURL></service></serviceList></device></deviceList></device></deviceList></device></root>`
)

// TestHelperMapper is the router, as a process of its own: an Internet Gateway Device, version 1, as far as hosts ask it.
func TestHelperMapper(t *testing.T) {
	within, outside := os.Getenv("HUM_MAPPER"), os.Getenv("HUM_OUTSIDE")
	if within == "" {
		t.Skip("run by TestNAT_PortMapped")
	}
	lan, err := net.InterfaceByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	search, err := net.ListenMulticastUDP("udp4", lan, &net.UDPAddr{IP: net.IPv4(239, 255, 255, 250), Port: 1900})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", within+":5000")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for b := make([]byte, 2048); ; {
			k, from, err := search.ReadFrom(b)
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:k])))
			if err != nil || r.Method != "M-SEARCH" || !strings.Contains(r.Header.Get("ST"), "WANConnectionDevice:1") {
				continue
			}
			_, _ = search.WriteTo(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nST: %s\r\nUSN: uuid:3::%s\r\nLOCATION: http://%s:5000/device.xml\r\nEXT:\r\nCACHE-CONTROL: max-age=120\r\n\r\n",
				r.Header.Get("ST"), r.Header.Get("ST"), within), from)
		}
	}()
	fmt.Println("listening")
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		if r.URL.Path == "/device.xml" {
			_, _ = io.WriteString(w, igd)
			return
		}
		_, action, _ := strings.Cut(strings.Trim(r.Header.Get("SOAPACTION"), `"`), "#")
		var asked struct {
			Body struct {
				Add struct {
					Protocol string `xml:"NewProtocol"`
					Port     int    `xml:"NewExternalPort"`
					Within   int    `xml:"NewInternalPort"`
					Client   string `xml:"NewInternalClient"`
				} `xml:"AddPortMapping"`
			} `xml:"Body"`
		}
		if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		said := ""
		switch action {
		case "GetNATRSIPStatus":
			said = "<NewRSIPAvailable>0</NewRSIPAvailable><NewNATEnabled>1</NewNATEnabled>"
		case "GetExternalIPAddress":
			said = "<NewExternalIPAddress>" + outside + "</NewExternalIPAddress>"
		case "AddPortMapping":
			x := asked.Body.Add
			rule := fmt.Sprintf("add rule ip nat in iifname wan %s dport %d dnat to %s:%d", strings.ToLower(x.Protocol), x.Port, x.Client, x.Within)
			if out, err := exec.Command("nft", rule).CombinedOutput(); err != nil {
				fmt.Printf("nft %s: %v\n%s", rule, err, out)
			}
			fmt.Println("opened", x.Port)
		}
		fmt.Fprintf(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:%sResponse xmlns:u="%s">%s</u:%sResponse></s:Body></s:Envelope>`,
			action, igdService, said, action)
	}))
}
