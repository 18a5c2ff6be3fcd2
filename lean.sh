#!/bin/sh
# lean.sh DIR: copies four files of the Go runtime to DIR, without some things
# that are of no use to a program that lives for a millisecond, and prints the
# option that makes go build use the copies:
#
#	go build $(sh tcpd/lean.sh bin/.lean) -o bin/tcpd ./tcpd
#
# They take about a third of the time that tcpd needs. Where the runtime is not
# as expected nothing is printed, and go build makes an ordinary program, which
# does the same, later.
set -e
mkdir -p "$1"
dir=$(cd "$1" && pwd)
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
		echo "lean.sh: $1 of $(${GO:-go} env GOVERSION) is not as expected, so tcpd starts as slowly as any Go program" >&2
		exit 0
	fi
	awk -v line="$2" -v text="$3" '{ print $0 == line ? text : $0 }' "$copy" >"$copy.new"
	mv "$copy.new" "$copy"
}

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

echo "{\"Replace\":{$replace}}" >"$dir/overlay.json"
echo "-overlay=$dir/overlay.json"
