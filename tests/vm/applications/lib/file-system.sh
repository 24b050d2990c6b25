# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A file system on the origin, under load, while snapshots are taken and destroyed. Of each image:
#
#   - a copy kept up to date by the change map equals it (the map misses nothing); of each third image
#   - its file system mounts, replays its log, has every file that was complete before the take, and its checker
#     finds nothing
#   - it did not change while it was looked at
#
# Source it after lib/load.sh, define make_file_system, mount_image, check_image and break_image, and call test_file_system TYPE.

origin=/dev/vdb store=/dev/vdc copy=/dev/vdd
files=/mnt/origin
minutes=$TEST_FS_MINUTES

start_loads()
{
	start_stress $files && start_verify $files && start_keeper $files && sleep 5 && loads_run
}

loads_run()
{
	local each

	for each in stress load keeper; do
		kill -0 "${!each}" || { echo "$each ended"; cat "$work"/{stress,keeper,load.*}; return 1; }
	done
}

stop_loads()
{
	stop_stress && stop_load && stop_keeper
}

# copy_changes NUMBER: what changed since the snapshot of that number
copy_changes()
{
	local since=$1 copied

	blksnap tracker_readcbtranges --device $origin --since "$since" >"$work/ranges" || return
	copied=$("$library/../../../demo/copy-ranges" "$image" $copy <"$work/ranges") || return
	copied_mib=$((copied >> 20))
}

# The copy is brought up to date from the image, then each byte of both is compared: the image is read twice, with
# some time between. A new generation means that nothing is known.
copy_equals_image()
{
	local new

	new=$(tracker_value $origin generationId)
	[[ $new == "$generation" ]] || number=0
	((number)) || { dd if="$image" of=$copy bs=1M iflag=direct oflag=direct status=none && copied_mib=all; } || return
	((number == 0)) || copy_changes "$number" || return
	number=$(tracker_value $origin snap_number) generation=$new
	copy_is_equal
}

copy_is_equal()
{
	cmp <(dd if="$image" bs=1M iflag=direct status=none) <(dd if=$copy bs=1M iflag=direct status=none)
}

take_under_load()
{
	create $origin && append $store "0:$(sectors_of $store)" && cp "$work/kept" "$work/before" && limited_take &&
		cp "$work/kept" "$work/after" && image=$(image_of $origin)
}

# The file system of the image, mounted, replayed, and looked at by who knows it.
image_is_whole()
{
	local found status=0

	mount_image "$image" /mnt/image || { dmesg | tail -20; return 1; }
	found=$("$library/check-files" /mnt/image/kept "$work/before" "$work/after") || status=1
	umount /mnt/image || return
	((status == 0)) || { echo "$found"; return 1; }
	check_image "$image" >"$work/checked" 2>&1 || { cat "$work/checked"; return 1; }
	words=$found
}

one_snapshot()
{
	local begin=$SECONDS

	take_under_load && taken=$((SECONDS - begin)) || return
	copied_mib=no
	# Takes most of the time, and more than one snapshot may lie between two copies.
	if ((snapshots % 3 == 0)); then
		copy_equals_image || return
	fi
	compared=$((SECONDS - begin))
	image_is_whole && checked=$((SECONDS - begin)) && not_lost && destroy && loads_run
}

snapshots_for_minutes()
{
	local end=$((SECONDS + minutes * 60))

	number=0 generation='' snapshots=0
	# Two copies at least.
	while ((SECONDS < end || snapshots < 4)); do
		one_snapshot || { echo "snapshot $((snapshots + 1))"; return 1; }
		snapshots=$((snapshots + 1))
		tell "snapshot $snapshots: taken after $taken s, compared after $compared ($copied_mib MiB copied)," \
			"checked after $checked; $words"
	done
	tell "$snapshots snapshots in $(((SECONDS - end) / 60 + minutes)) minutes"
}

# --- errors that are planted -----------------------------------------------------------------

# As if the map had missed what changed since the last snapshot.
missed_changes_are_noticed()
{
	take_under_load && copy_changes "$(tracker_value $origin snap_number)" && ! copy_is_equal
}

# One byte of the newest file, and the last numbers.
wrong_files_are_noticed()
{
	local file

	file=$(sed -n 's/^+ [0-9a-f]* //p' "$work/before" | tail -n 1)
	mount_image "$image" /mnt/image && printf X | dd of="/mnt/image/kept/$file" conv=notrunc status=none &&
		umount /mnt/image && ! image_is_whole >"$work/words" || return
	grep -F "$file: " "$work/words" || return
	# More than the one that may have been under way at the cut.
	mount_image "$image" /mnt/image && head -n -3 /mnt/image/kept/acknowledged >"$work/numbers" &&
		cp "$work/numbers" /mnt/image/kept/acknowledged && umount /mnt/image && ! image_is_whole >"$work/words" || return
	grep 'acknowledged: ' "$work/words"
}

# The root of a tree, the first inode, the superblock: something that a checker has to see.
broken_file_system_is_noticed()
{
	break_image "$image" && ! check_image "$image"
	local status=$?
	destroy && return "$status"
}

test_file_system()
{
	local type=$1

	check 'the module loads' load_module
	check "$type is made" make_and_mount
	check 'loads' start_loads
	check "$minutes minutes of snapshots: each image equals its copy and is a whole file system" snapshots_for_minutes
	check 'planted: changes that the map does not name' missed_changes_are_noticed
	check 'planted: a wrong byte in a file, a lost number' wrong_files_are_noticed
	check 'planted: broken metadata' broken_file_system_is_noticed
	check 'the loads met no error' stop_loads
	check 'it is unmounted' umount $files
	check 'the origin is whole' check_image $origin
	check 'trackers go' remove_trackers
	check 'the module goes' unload_module
	finish
}

make_and_mount()
{
	make_file_system $origin && mkdir -p /mnt/image && mount_device $origin $files
}
