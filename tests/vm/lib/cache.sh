# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Directories that are built once and rebuilt when their recipe changed.
#
# A directory is complete or absent: it is filled under another name and renamed, so an interrupted
# build leaves nothing that looks finished, and a guest that still reads the old one is not disturbed.

# build_cached DIRECTORY RECIPE FUNCTION: let FUNCTION fill DIRECTORY, unless RECIPE filled it already.
# The function runs with errexit on, gets the directory to fill as its argument.
build_cached()
{
	local directory=$1 recipe=$2 function=$3

	mkdir -p "$(dirname "$directory")"
	exec {cache_lock}>"$directory.lock"
	flock "$cache_lock"
	if [[ -f $directory/stamp && $(<"$directory/stamp") == "$recipe" ]]; then
		return
	fi
	echo "vm: building ${directory##*/vm/}"
	rm -rf "$directory.new" "$directory.old"
	mkdir "$directory.new"
	"$function" "$directory.new"
	echo "$recipe" >"$directory.new/stamp"
	if [[ -d $directory ]]; then
		mv "$directory" "$directory.old"
	fi
	mv "$directory.new" "$directory"
	rm -rf "$directory.old"
}
