#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Loads that fail, and tracking that cannot begin: everything is as before, and the next try succeeds.
# vm: own-boot disks=2 timeout=240
# vm-expect: Call Trace:
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/lib/snapshot.sh"

need python3
plan 23

# The same module by the name of blksnbp. With both loaded the second fails at its last but one step, when
# the class of its node exists already (the kernel prints a trace then): all before that is to be undone.
twin=$work/blksnbp.ko
make_twin()
{
	python3 - "$module" "$twin" <<'END'
import struct
import sys

data = bytearray(open(sys.argv[1], "rb").read().replace(b"name=blksnap\0", b"name=blksnbp\0"))
table, = struct.unpack_from("<Q", data, 0x28)
size, count, names = struct.unpack_from("<HHH", data, 0x3A)
sections = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
for section in sections:
    at = sections[names][4] + section[0]
    if data[at:data.index(b"\0", at)] == b".gnu.linkonce.this_module":
        name = data.index(b"blksnap\0", section[4], section[4] + section[5])
        data[name:name + 7] = b"blksnbp"
        open(sys.argv[2], "wb").write(data)
        sys.exit()
sys.exit("no section with the name of the module")
END
}

fails_with()
{
	local text=$1 output

	shift
	output=$("$@" 2>&1) && { echo "succeeded: $output"; return 1; }
	grep -qiE "$text" <<<"$output" || { echo "says: $output"; return 1; }
}

# What a loaded module has in the kernel: numbers of devices, classes, threads.
traces()
{
	grep -E 'blksn[ab]p' /proc/devices | sed 's/^ *[0-9]* //' | sort
	ls -d /sys/class/blksn* /sys/module/blksn* /dev/blksn* 2>/dev/null
	cat /proc/[0-9]*/comm 2>/dev/null | grep -E '^blksn[ab]p' | sort
}

many_failed_loads()
{
	local round

	for round in $(seq 20); do
		fails_with 'exists' insmod "$twin" || return
		same "$(traces)" "$before" || { echo "in round $round"; return 1; }
	done
}

unused()
{
	same "$(gawk '$1 == name { print $3 }' name="$1" /proc/modules)" 0
}

check 'a twin of the module' make_twin
nothing=$(traces)
check 'a bad parameter is refused' fails_with 'invalid' insmod "$module" cow_memory_limit_kib=1
check 'and leaves nothing' same "$(traces)" "$nothing"
check 'the module loads' load_module
before=$(traces)
check 'a load that fails half way leaves nothing, twenty times' many_failed_loads
check 'the module that was there works' take_with_store /dev/vdc 65536 /dev/vdb
check 'destroy' destroy
check 'trackers go' remove_trackers
check 'it is not used' unused blksnap
check 'it goes' unload_module
check 'and leaves nothing' same "$(traces)" "$nothing"
check 'then the twin loads' insmod "$twin"
check 'and goes' rmmod blksnbp

# --- tracking that cannot begin --------------------------------------------------------------

check 'the module loads' load_module
no_hook()
{
	sysctl -q kernel.ftrace_enabled=0
	later sysctl -q kernel.ftrace_enabled=1
	fails_with 'something else intercepts writes' blksnap snapshot_create --device /dev/vdb &&
		fails_with 'something else intercepts writes' blksnap snapshot_create --device /dev/vdb --device /dev/vdc
}
check 'without ftrace nothing can be tracked' no_hook
check 'and nothing is left' same "$(blksnap tracker_collect | head -1)$(blksnap snapshot_collect)" 'count=0'
sysctl -q kernel.ftrace_enabled=1
check 'with it everything can' take_with_store /dev/vdc 65536 /dev/vdb
destroy
remove_trackers

# --- somebody else at the hook ---------------------------------------------------------------

# All of the module by another name, with a node of its own.
other=$work/blksnbp-whole.ko
make_other()
{
	python3 -c 'import sys; sys.stdout.buffer.write(open(sys.argv[1], "rb").read().replace(b"blksnap", b"blksnbp"))' \
		"$module" >"$other"
}

with_other()
{
	# shellcheck disable=SC2016 # The inner shell expands it.
	unshare --mount sh -c 'mount --bind /dev/blksnbp /dev/blksnap && exec "$@"' sh "$@"
}

# A livepatch modifies the instruction pointer like "ipmodify", tracers call directly.
other_holds()
{
	local how=$1 its

	insmod "$other" hook="$how" && its=$(with_other blksnap snapshot_create --device /dev/vdc) || return
	fails_with 'something else intercepts writes' blksnap snapshot_create --device /dev/vdb || return
	dmesg | grep -q 'blksnap: .* cannot be hooked: another user' || return
	same "$(blksnap tracker_collect | head -1)$(blksnap snapshot_collect)" 'count=0' || return
	with_other blksnap snapshot_destroy --id "$its" && with_other blksnap tracker_remove --device /dev/vdc &&
		rmmod blksnbp
}

# An image is right, whichever way the writes come to the module.
tracks()
{
	stamped-io fill /dev/vdb "$work/stamps" --count 512 --seed 1 >/dev/null || return
	cp "$work/stamps" "$work/at-cut"
	take_with_store /dev/vdc 65536 /dev/vdb || return
	stamped-io write /dev/vdb "$work/stamps" --count 512 --seconds 2 --seed 2 >/dev/null || return
	stamped-io read "$(image_of /dev/vdb)" "$work/at-cut" --count 512 --seconds 1 || return
	dmesg | grep -q 'vdb: tracking begins' && destroy && remove_trackers
}

# With a program there already the module gets at the writes another way.
beside_bpf()
{
	local result=0 input

	coproc bpf-hold submit_bio_noacct || return
	input=${COPROC[1]}
	read -r -t $((30 * VM_SLOWDOWN)) _ <&"${COPROC[0]}" && tracks || result=1
	exec {input}>&-
	wait
	return "$result"
}

check 'the module under another name' make_other
check 'while another module redirects the function, nothing can be tracked' other_holds ipmodify
check 'while another module is called from it, nothing can be tracked' other_holds direct
check 'when it is gone, everything can' tracks
check 'a BPF program at the function' beside_bpf
check 'when it is gone, everything can' tracks
unload_module
finish
