package formats

// The namespaces that documents are read from and written in; docs/registry.md says what each is.
const (
	nsXML      = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS    = "http://www.w3.org/2000/xmlns/"
	nsPIDF     = "urn:ietf:params:xml:ns:pidf"
	nsModel    = "urn:ietf:params:xml:ns:pidf:data-model"
	nsRPID     = "urn:ietf:params:xml:ns:pidf:rpid"
	nsTimed    = "urn:ietf:params:xml:ns:pidf:timed-status"
	nsCIPID    = "urn:ietf:params:xml:ns:pidf:cipid"
	nsLocation = "urn:ietf:params:xml:ns:location-type"
	nsWinfo    = "urn:ietf:params:xml:ns:watcherinfo"
	nsPolicy   = "urn:ietf:params:xml:ns:common-policy"
	nsRules    = "urn:ietf:params:xml:ns:pres-rules"
	// nsHum is the only one of our own: what a hum document says and no RFC has an element for.
	nsHum = "https://github.com/hum-presence/hum/ns/1"
)

// The MIME types of the documents.
const (
	TypePIDF  = "application/pidf+xml"
	TypeWinfo = "application/watcherinfo+xml"
	TypeRules = "application/auth-policy+xml"
)
