# make, make run, make test; HACKING.md tells about the rest.

PREFIX          = /usr/local
DESTDIR         =
HOSTS_ALLOW     = /etc/hosts.allow
HOSTS_DENY      = /etc/hosts.deny
REAL_DAEMON_DIR = /usr/sbin
SYSLOG_FACILITY = authpriv

GO      = go
VERSION = 0.1
LDFLAGS = -s -w -X main.version=$(VERSION) \
	-X main.hostsAllow=$(HOSTS_ALLOW) -X main.hostsDeny=$(HOSTS_DENY) \
	-X main.realDaemonDir=$(REAL_DAEMON_DIR) -X main.syslogFacility=$(SYSLOG_FACILITY)
BUILD   = CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)'

PROGRAMS = inetd tcpd tcpdchk tcpdmatch try-from
MAN5     = $(wildcard man/*.5)
MAN8     = $(wildcard man/*.8)
ROOMS    = examples inetd libwrap services tcpd
SYSTEMS  = freebsd openbsd netbsd darwin
FUZZTIME = 30s

all: $(PROGRAMS:%=bin/%) bin/xinetd

# Under that name inetd takes xinetd's flags and default file.
bin/xinetd: bin/inetd
	ln -sf inetd $@

# The go command knows best what is out of date.
# A daemon that sleeps for days and a program that lives for a millisecond leave
# out what the runtime does for others; see HACKING. LEAN= builds ordinary ones.
LEAN = `GO='$(GO)' sh tcpd/lean.sh $(@F) bin/.lean/$(@F)`
bin/inetd: FORCE
	$(BUILD) $(LEAN) -o $@ ./inetd
bin/tcpd: FORCE
	$(BUILD) $(LEAN) -o $@ ./tcpd
bin/%: FORCE
	$(BUILD) -o $@ ./tcpd/$*

run: bin/inetd
	@GO='$(GO)' sh examples/run bin

# As root this includes what needs root.
test:
	$(GO) vet ./...
	$(GO) test ./...

test-root:
	@test "$$(id -u)" = 0 || { echo "make test-root: not root" >&2; exit 1; }
	$(GO) test -count=1 ./...

race:
	$(GO) test -race ./...

# Beside the others that are installed, in one run, as tables and as JSON in
# bin/bench.json; "inetd/bench -h" tells more.
bench: all
	$(GO) run ./inetd/bench -bin bin -json bin/bench.json $(BENCHFLAGS)
	$(GO) test ./tcpd -run '^$$' -bench Connections -benchtime 1x
	$(GO) test ./libwrap -run TestSpeed -speed 300ms -v

soak:
	$(GO) test ./inetd -run TestSoak -soak -timeout 20m -v

fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$pkg || exit 1; \
	  done; \
	done

lint:
	@test -z "$$(gofmt -l $(ROOMS))" || { gofmt -l $(ROOMS); exit 1; }
	$(GO) vet ./...
	@for os in $(SYSTEMS); do echo "GOOS=$$os go vet ./..."; GOOS=$$os $(GO) vet ./... || exit 1; done
	mandoc -T lint -W warning $(MAN5) $(MAN8)

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(PROGRAMS:%=bin/%) $(DESTDIR)$(PREFIX)/sbin
	ln -sf inetd $(DESTDIR)$(PREFIX)/sbin/xinetd
	install -m 644 $(MAN5) $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 $(MAN8) $(DESTDIR)$(PREFIX)/share/man/man8

uninstall:
	cd $(DESTDIR)$(PREFIX)/sbin && rm -f $(PROGRAMS) xinetd
	cd $(DESTDIR)$(PREFIX)/share/man/man5 && rm -f $(notdir $(MAN5))
	cd $(DESTDIR)$(PREFIX)/share/man/man8 && rm -f $(notdir $(MAN8))

clean:
	rm -rf bin

FORCE:
.PHONY: all run test test-root race bench soak fuzz lint install uninstall clean FORCE
