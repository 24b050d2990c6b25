#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# PostgreSQL under pgbench, with one snapshot after the other: the database on one volume, then with its log on a second
# one. Every other take is of the disks below the volumes, so that no file system is frozen for it. Of each image:
#
#   - a second server starts on it and recovers
#   - it has every number whose commit was acknowledged before the take began, without a gap
#   - pgbench's sums agree: its transactions are there as a whole or not at all
#   - pg_amcheck finds nothing, checksums of pages included; nor does the checker of the file system
#
# vm: own-boot root=applications disks=1G,1G,1500M timeout=900 lasts=TEST_APPS_MINUTES:10
# shellcheck disable=SC2317,SC2119 # Functions are called through check, or without their argument.
# shellcheck source=tests/vm/tap
. "$(dirname "$0")/../../tap"
# shellcheck source=tests/vm/suites/lib/snapshot.sh
. "$(dirname "$0")/../../suites/lib/snapshot.sh"
# shellcheck source=tests/vm/applications/lib/load.sh
. "$(dirname "$0")/../lib/load.sh"

programs=$(echo /usr/lib/postgresql/*/bin)
[[ -x $programs/postgres ]] || skip_all 'no postgres here'
plan 17

store=/dev/vdd
sockets=/run/postgresql
patience=$((180 * VM_SLOWDOWN))
declare -A disk=([data]=/dev/vdb [log]=/dev/vdc) type=([data]=ext4 [log]=xfs) options=([data]=rw [log]=nouuid)
declare -A member # The device in the snapshot, of each volume.

# --- servers ---------------------------------------------------------------------------------

user=(setpriv --reuid=postgres --regid=postgres --init-groups)

as_postgres()
{
	"${user[@]}" "$@"
}

# start_server NAME DIRECTORY PORT
start_server()
{
	local settings=(listen_addresses= shared_buffers=24MB max_wal_size=64MB checkpoint_timeout=30s autovacuum_naptime=5s)

	as_postgres "$programs/pg_ctl" --silent --pgdata="$2" --wait --timeout="$patience" --log="$sockets/$1" \
		--options="-p $3 -k $sockets ${settings[*]/#/-c }" start </dev/null && return
	tail -n 30 "$sockets/$1"
	return 1
}

has_left()
{
	[[ ! -e /proc/$1/cwd ]]
}

# Its first process stands in its directory for a moment after pg_ctl believes that it has ended.
stop_server()
{
	local pid

	read -r pid <"$1/postmaster.pid" || return
	as_postgres "$programs/pg_ctl" --silent --pgdata="$1" --wait --timeout="$patience" --mode=fast stop &&
		wait_until 60 has_left "$pid"
}

# query PORT SQL
query()
{
	as_postgres "$programs/psql" --host="$sockets" --port="$1" --no-psqlrc --quiet --tuples-only --no-align \
		--set=ON_ERROR_STOP=1 --command="$2" postgres
}

# volume NAME: a volume on its disk, with a file system at /mnt/NAME
volume()
{
	dm_device "$1" "0 $(sectors_of "${disk[$1]}") linear ${disk[$1]} 0" && mkfs."${type[$1]}" -q "/dev/mapper/$1" &&
		mount_device "/dev/mapper/$1" "/mnt/$1" && install -d -o postgres -m 700 "/mnt/$1/postgres"
}

remove_volume()
{
	unmount "/mnt/$1" && remove_dm_device "$1" >/dev/null && wipefs -qa "${disk[$1]}"
}

# make_database VOLUME...
make_database()
{
	local each log=()

	for each; do
		volume "$each" || return
	done
	(($# == 1)) || log=(--waldir=/mnt/log/postgres/wal)
	as_postgres "$programs/initdb" --pgdata=/mnt/data/postgres/base --data-checksums --no-locale --encoding=UTF8 \
		"${log[@]}" >/dev/null && start_server origin /mnt/data/postgres/base 5432 || return
	later stop_server /mnt/data/postgres/base
	as_postgres "$programs/pgbench" --host="$sockets" --initialize --scale=2 --quiet postgres &&
		query 5432 'CREATE TABLE numbers (number bigint PRIMARY KEY, text text)' && query 5432 CHECKPOINT
}

# --- loads -----------------------------------------------------------------------------------

# Numbers go into the database one by one; each goes to the list after its commit was acknowledged.
count_up()
{
	local number echoed

	coproc client { as_postgres "$programs/psql" --host="$sockets" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 postgres 2>&1; }
	for ((number = 1; ; number++)); do
		printf "INSERT INTO numbers VALUES (%d, repeat(md5('%d'), 8));\n\\\\echo %d\n" \
			"$number" "$number" "$number" >&"${client[1]}" || return
		read -r echoed <&"${client[0]}"
		[[ $echoed == "$number" ]] || { echo "client: $echoed"; return 1; }
		echo "$number" >>"$work/numbers"
		[[ ! -e $work/stop ]] || return 0
	done
}

start_loads()
{
	rm -f "$work/stop" "$work/numbers"
	"${user[@]}" "$programs/pgbench" --host="$sockets" --client=3 --time=864000 postgres >"$work/pgbench" 2>&1 &
	bench=$!
	later kill "$bench"
	count_up >"$work/client" 2>&1 &
	counter=$!
	later kill "$counter"
	wait_until 60 test -s "$work/numbers" && loads_run
}

loads_run()
{
	kill -0 "$bench" && kill -0 "$counter" && return
	cat "$work/pgbench" "$work/client"
	return 1
}

stop_loads()
{
	local status=0

	touch "$work/stop"
	wait "$counter" || { cat "$work/client"; return 1; }
	loads_ended=$(tail -n 1 "$work/numbers")
	kill -TERM "$bench" || return
	wait "$bench" || status=$?
	same "$status" 143 && ! grep -iE 'error|fatal|abort' "$work/pgbench" || return
	tell "$loads_ended commits of the counter were acknowledged"
}

# --- images ----------------------------------------------------------------------------------

# take_of BELOW VOLUME...: of the volumes (0), or of the disks below them (1)
take_of()
{
	local below=$1 each

	shift
	member=()
	for each; do
		member[$each]=/dev/mapper/$each
		((!below)) || member[$each]=${disk[$each]}
	done
	create "${member[@]}" && append "$store" "0:$(sectors_of "$store")" || return
	acknowledged=$(tail -n 1 "$work/numbers")
	limited_take
}

mount_images()
{
	local each

	for each; do
		mount_device "$(image_of "${member[$each]}")" "/mnt/image-$each" -t "${type[$each]}" -o "${options[$each]}" || return
	done
	base=/mnt/image-data/postgres/base
	# It names a server that runs: that of the origin.
	rm "$base/postmaster.pid" || return
	(($# == 1)) || ln -sfn /mnt/image-log/postgres/wal "$base/pg_wal"
}

unmount_images()
{
	local each

	for each; do
		umount "/mnt/image-$each" && check_image "${type[$each]}" "$(image_of "${member[$each]}")" || return
	done
}

check_image()
{
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	esac
}

sums='SELECT sum(abalance), (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),
	(SELECT coalesce(sum(delta), 0) FROM pgbench_history) FROM pgbench_accounts'

# Return: whether what the server at that port has is what it must have.
database_is_right()
{
	local port=$1 least=$2 numbers line

	numbers=$(query "$port" 'SELECT count(*), max(number), min(number) FROM numbers') || return
	IFS='|' read -r count last first <<<"$numbers"
	((count >= least && count == last && first == 1)) || { echo "numbers: $numbers, acknowledged $least"; return 1; }
	line=$(query "$port" "$sums") || return
	same "$(tr '|' '\n' <<<"$line" | sort -u | wc -l)" 1 || { echo "sums: $line"; return 1; }
	as_postgres "$programs/pg_amcheck" --host="$sockets" --port="$port" --install-missing --heapallindexed postgres
}

one_snapshot()
{
	take_of "$@" && shift && mount_images "$@" && rm -f "$sockets/image" && start_server image "$base" 5433 || return
	grep -q 'automatic recovery in progress' "$sockets/image" || { cat "$sockets/image"; return 1; }
	database_is_right 5433 "$acknowledged" || { cat "$sockets/image"; return 1; }
	stop_server "$base" && unmount_images "$@" && not_lost && destroy && loads_run
}

# snapshots_for SECONDS VOLUME...
snapshots_for()
{
	local end=$((SECONDS + $1))

	shift
	snapshots=0
	while ((SECONDS < end || snapshots < 2)); do
		one_snapshot $((snapshots % 2)) "$@" || { echo "snapshot $((snapshots + 1))"; return 1; }
		snapshots=$((snapshots + 1))
		tell "snapshot $snapshots: $acknowledged commits acknowledged before, $count in the image;" \
			"$(grep -c 'redo done' "$sockets/image") redo"
	done
	tell "$snapshots snapshots"
}

# A commit that is not there, and a byte of a table that is wrong: the one who looks has to see both.
planted_errors_are_noticed()
{
	local file

	take_of 0 "$@" && mount_images "$@" && start_server image "$base" 5433 || return
	file=$base/$(query 5433 "SELECT pg_relation_filepath('pgbench_accounts')") &&
		numbers=$(query 5433 'SELECT max(number) FROM numbers') || return
	! database_is_right 5433 $((numbers + 1)) && stop_server "$base" || return
	printf X | dd of="$file" bs=1 seek=$((3 * 8192 + 4000)) conv=notrunc,fsync status=none &&
		start_server image "$base" 5433 && ! database_is_right 5433 "$acknowledged" || return
	stop_server "$base" && unmount_images "$@" && destroy
}

origin_is_right()
{
	database_is_right 5432 "$loads_ended" && stop_server /mnt/data/postgres/base
}

# test_database WORDS VOLUME...
test_database()
{
	local words=$1 each

	shift
	check "$words: a database" make_database "$@"
	check "$words: loads" start_loads
	check "$words: snapshots: each image recovers, with all that was acknowledged" \
		snapshots_for $((TEST_APPS_MINUTES * 30)) "$@"
	check "$words: planted: a commit that is missing, a wrong byte" planted_errors_are_noticed "$@"
	check "$words: the loads met no error" stop_loads
	check "$words: the origin is right" origin_is_right
	for each; do
		umount "/mnt/$each" || not_ok "$words: $each is busy"
	done
}

check 'the module loads' load_module
install -d -o postgres $sockets
test_database 'one volume' data
check 'the volume goes' remove_volume data
test_database 'log on a second volume' data log
remove_volume data
remove_volume log
check 'no node of an image is left' eval '! ls /dev/blksnap-image*'
check 'trackers go' remove_trackers
check 'the module goes' unload_module
finish
