# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the suites share: loads that others wrote, on a mounted file system. Source it after suites/lib/snapshot.sh.

library=$(dirname "${BASH_SOURCE[0]}")

# Words for who watches, also from inside a check.
exec {shown}>&1
tell()
{
	diag "$*" >&"$shown"
}

# start_stress DIRECTORY: files are made, written, read, cut, linked, renamed and removed until stop_stress. Each stressor
# looks whether it finds what it left. Who looks at images goes first. Root would also drop all caches.
start_stress()
{
	install -d -o nobody "$1/stress" && cd "$1/stress" || return
	nice -n 19 setpriv --reuid=nobody --regid=nogroup --clear-groups stress-ng --temp-path . --verify --oomable --timeout 0 --metrics-brief \
		--hdd 1 --hdd-bytes 24M --hdd-opts wr-rnd,rd-rnd,fsync \
		--iomix 1 --iomix-bytes 16M --seek 1 --seek-size 8M \
		--fallocate 1 --fallocate-bytes 16M \
		--dir 1 --dir-dirs 256 --rename 1 --link 1 >"$work/stress" 2>&1 &
	stress=$!
	cd "$OLDPWD" || return
	later kill "$stress"
}

# Return: whether it ran until now, and found nothing wrong.
stop_stress()
{
	local status=0

	kill -0 "$stress" && kill -INT "$stress"
	wait "$stress" || status=$?
	grep -E 'dispatching|(hdd|iomix|seek|fallocate|dir|rename|link) +[0-9]+ ' "$work/stress" | sed 's/^/# /' >&"$shown"
	((status == 0)) && ! grep -iE 'fail|verif|error' "$work/stress" && return
	cat "$work/stress"
	return 1
}

# start_verify DIRECTORY: fio writes at random places and reads back what it wrote, until stop_load
start_verify()
{
	start_load "$1/verified" --size=16M --rate_iops=60 --iodepth=8 \
		--verify=crc32c --verify_backlog=256 --verify_fatal=1
}

# start_keeper DIRECTORY: complete files, by their checksums, until stop_keeper
start_keeper()
{
	"$library/keep-files" "$1/kept" "$work/kept" "$work/stop" >"$work/keeper" 2>&1 &
	keeper=$!
	later kill "$keeper"
}

stop_keeper()
{
	touch "$work/stop"
	wait "$keeper" || { cat "$work/keeper"; return 1; }
	tell "kept: $(<"$work/keeper")"
}
