package report

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// vega is the figure for Vega-Lite, with its data in it, so that it is drawn again without anything else.
func (f figure) vega() ([]byte, error) {
	type row struct {
		X float64 `json:"x"`
		Y float64 `json:"y"`
		S string  `json:"series"`
	}
	var rows []row
	for _, s := range f.series {
		for _, q := range s.points {
			if !math.IsNaN(q[1]) && !math.IsInf(q[1], 0) {
				rows = append(rows, row{q[0], q[1], s.name})
			}
		}
	}
	type object = map[string]any
	x := object{"field": "x", "type": "quantitative", "title": f.x}
	if f.log {
		x["scale"] = object{"type": "log"}
	}
	mark := object{"type": "line", "clip": true}
	if len(f.series) > 0 && f.series[0].step {
		mark["interpolate"] = "step-after"
	}
	layers := []object{}
	if len(f.bands) > 0 {
		layers = append(layers, object{
			"data": object{"values": f.bands}, "mark": object{"type": "rect", "opacity": 0.15, "color": "#c4552d"},
			"encoding": object{"x": object{"field": "from", "type": "quantitative"}, "x2": object{"field": "until"},
				"tooltip": object{"field": "label"}},
		})
	}
	layers = append(layers, object{"data": object{"values": rows}, "mark": mark, "encoding": object{
		"x": x, "y": object{"field": "y", "type": "quantitative", "title": f.y},
		"color": object{"field": "series", "type": "nominal", "title": nil}}})
	return json.MarshalIndent(object{
		"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "title": f.title, "description": f.text,
		"width": 600, "height": 320, "layer": layers,
	}, "", " ")
}

// csv is what the figure shows as rows of series, x and y.
func (f figure) csv() []byte {
	var b strings.Builder
	b.WriteString("series,x,y\n")
	for _, s := range f.series {
		name := s.name
		if strings.ContainsAny(name, ",\"\n") {
			name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
		for _, q := range s.points {
			fmt.Fprintf(&b, "%s,%g,%g\n", name, q[0], q[1])
		}
	}
	return []byte(b.String())
}
