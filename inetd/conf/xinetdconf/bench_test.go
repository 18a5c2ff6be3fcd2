package xinetdconf

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("defaults\n{\ninstances = 60\nonly_from = 10.0.0.0 192.168.0.0/16 localhost\nlog_type = SYSLOG authpriv\n}\n")
	for i := range 5000 {
		text.WriteString(entry(fmt.Sprintf("svc%d", i), "type = UNLISTED", fmt.Sprintf("port = %d", 10000+i), "cps = 100 2", "log_on_success += HOST"))
	}
	env := testEnv(b)
	for b.Loop() {
		if services, errs := Parse("x", []byte(text.String()), env, files(nil)); len(services) != 5000 {
			b.Fatal(lines(errs))
		}
	}
}
