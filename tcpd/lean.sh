#!/bin/sh
# lean.sh PROGRAM DIR: copies files of the Go runtime to DIR, changed in the few
# lines that do not suit PROGRAM, and prints the option that makes go build use
# the copies:
#
#	go build $(sh tcpd/lean.sh tcpd bin/.lean/tcpd) -o bin/tcpd ./tcpd
#
# Where the runtime is not as expected nothing is printed, and go build makes an
# ordinary program, which does the same.
set -e
program=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
src=$(${GO:-go} env GOROOT)/src
replace=

# edit FILE LINE TEXT: TEXT takes the place of LINE, which FILE has once.
edit() {
	copy=$dir/$(basename "$1")
	case $replace in
	*"\"$copy\""*) ;;
	*)
		cp "$src/$1" "$copy" 2>/dev/null || : >"$copy"
		replace="$replace${replace:+,}\"$src/$1\":\"$copy\""
		;;
	esac
	if [ "$(grep -cxF "$2" "$copy")" != 1 ]; then
		echo "lean.sh: $1 of $(${GO:-go} env GOVERSION) is not as expected, so $program is an ordinary Go program" >&2
		exit 0
	fi
	awk -v line="$2" -v text="$3" '{ print $0 == line ? text : $0 }' "$copy" >"$copy.new"
	mv "$copy.new" "$copy"
}

# tcpd lives for a millisecond, of which a third went into this.
tcpd() {
	# What the control group allows is a number of CPUs, and one is enough.
	edit internal/runtime/cgroup/cgroup_linux.go \
		'func OpenCPU(scratch []byte) (CPU, error) {' \
		'func OpenCPU(scratch []byte) (CPU, error) {\n\tif scratch != nil {\n\t\treturn CPU{}, ErrNoCgroup\n\t}'
	edit runtime/os_linux.go '	numCPUStartup = getCPUCount()' '	numCPUStartup = 1'

	# The main goroutine is tied to its thread until main is called, for packages
	# that care, and there are none. For it to wait means another thread then.
	edit runtime/proc.go '	lockOSThread()' ''
	edit runtime/proc.go '	needUnlock := true' '	needUnlock := false'
	edit runtime/proc.go '	unlockOSThread()' ''

	# Nobody asks for a memory profile.
	edit runtime/mprof.go 'var MemProfileRate int = 512 * 1024' 'var MemProfileRate int = 0'
}

# inetd may have nothing to do for days, and then sleeps. The runtime would wake
# every minute to see whether two have passed without a collection.
inetd() {
	edit runtime/proc.go 'var forcegcperiod int64 = 2 * 60 * 1e9' 'var forcegcperiod int64 = 1 << 62'
}

"$program"

echo "{\"Replace\":{$replace}}" >"$dir/overlay.json"
echo "-overlay=$2/overlay.json"
