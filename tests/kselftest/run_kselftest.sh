#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the kselftest suite of blksnap as root, on any machine that has the module loaded or can load it:
#
#   run_kselftest.sh [-l] [-s] [AREA...]
#
#   -l   list areas and their tests
#   -s   only one line for each area, and what failed
#
# Without areas all run. The programs are in build/kselftest ($KSELFTEST_DIR). The module is
# $BLKSNAP_MODULE, else blksnap.ko at the top of the project, else what modprobe finds. Output is TAP 14 with
# a subtest for each area. An area also fails when the kernel log complains while it runs. The exit status is
# 0 passed, 1 failed, 4 nothing could run. $KSELFTEST_SLOWDOWN multiplies all limits of time, for kernels
# that check themselves.
set -uo pipefail

root=$(realpath "$(dirname "$0")/../..")
programs=${KSELFTEST_DIR:-$root/build/kselftest}
complaint='\bBUG:|\bWARNING:|\bOops\b|general protection|possible (circular|recursive) locking|inconsistent lock state'
complaint+='|INFO: task .* blocked|rcu.*(stall|detected)|KASAN:|KCSAN:|UBSAN:|suspicious RCU|sleeping function called'
# The kernel has data races of its own.
not_ours='KCSAN: data-race in (?!.*\[blksnap\])'
list='' summary=''

usage()
{
	sed -n 's/^# \{0,1\}//p' "$0" | sed -n '3,16p'
	exit "$1"
}

while getopts lsh option; do
	case $option in
	l) list=1 ;;
	s) summary=1 ;;
	h) usage 0 ;;
	*) usage 2 ;;
	esac
done
shift $((OPTIND - 1))

# Every source is an area: one that was not built shall not go unnoticed.
find_areas()
{
	local source

	for source in "$root"/tests/kselftest/*.cpp; do
		source=${source##*/}
		echo "${source%.cpp}"
	done
}

if (($#)); then
	areas=("$@")
else
	mapfile -t areas < <(find_areas)
fi

if [[ -n $list ]]; then
	for area in "${areas[@]}"; do
		"$programs/$area" --list | sed "s/^/$area: /"
	done
	exit
fi

if [[ -z ${BLKSNAP_MODULE:-} && -f $root/blksnap.ko ]]; then
	export BLKSNAP_MODULE=$root/blksnap.ko
fi
if [[ -z ${BLKSNAP_UDEV_RULES:-} && -f $root/tools/udev/60-blksnap.rules ]]; then
	export BLKSNAP_UDEV_RULES=$root/tools/udev/60-blksnap.rules
fi
[[ -d /sys/module/blksnap ]] && was_loaded=1 || was_loaded=''

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# What the kernel log says since the mark of an area.
log_since()
{
	dmesg | sed "1,/$1\$/d"
}

show()
{
	if [[ -n $summary ]]; then
		grep -E '^(not ok|Bail out)|^# .*:[0-9]+: ' "$output"
	else
		cat "$output"
	fi | sed 's/^/    /'
}

# run_area AREA: sets $verdict to passed, failed or skipped, and $why
run_area()
{
	local area=$1 mark status=0 planned seen complaints=()

	mark="kselftest: $area begins $$-$RANDOM"
	echo "$mark" >/dev/kmsg 2>/dev/null
	why=''
	if [[ ! -x $programs/$area ]]; then
		printf '1..0 # SKIP not built\n' >"$output"
		verdict=failed why="there is no $programs/$area"
		return
	fi
	if [[ -n $summary ]]; then
		"$programs/$area" >"$output" 2>&1
		status=$?
	else
		# Shown while it runs.
		"$programs/$area" 2>&1 | tee "$output" | sed -u 's/^/    /'
		status=${PIPESTATUS[0]}
	fi
	planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$output" | head -1)
	seen=$(grep -cE '^(not )?ok ' "$output")
	mapfile -t complaints < <(log_since "$mark" | grep -E "$complaint" | grep -vP "$not_ours")
	case $status in
	0) verdict=passed ;;
	4) verdict=skipped ;;
	*) verdict=failed why="status $status" ;;
	esac
	if ((${#complaints[@]})); then
		verdict=failed why='the kernel log complains'
		printf '# kernel: %s\n' "${complaints[@]}" | tee -a "$output" | sed 's/^/    /'
	elif [[ $verdict != failed && $planned != "$seen" ]]; then
		verdict=failed why="$seen of $planned tests ran"
	fi
}

passed=0 failed=0 skipped=0 number=0
tests_passed=0 tests_failed=0 tests_skipped=0

echo 'TAP version 14'
echo "1..${#areas[@]}"
for area in "${areas[@]}"; do
	echo "# Subtest: $area"
	: >"$output"
	run_area "$area"
	[[ -n $summary ]] && show
	tests_failed=$((tests_failed + $(grep -c '^not ok' "$output")))
	tests_skipped=$((tests_skipped + $(grep -ciE '^ok .* # SKIP' "$output")))
	tests_passed=$((tests_passed + $(grep -E '^ok ' "$output" | grep -cviE '# SKIP')))
	number=$((number + 1))
	case $verdict in
	passed)
		passed=$((passed + 1))
		echo "ok $number - $area"
		;;
	skipped)
		skipped=$((skipped + 1))
		echo "ok $number - $area # SKIP $(sed -n 's/^1\.\.0 # SKIP //p' "$output")"
		;;
	failed)
		failed=$((failed + 1))
		echo "# $area: $why"
		echo "not ok $number - $area"
		;;
	esac
done
if [[ -z $was_loaded && -d /sys/module/blksnap ]]; then
	udevadm settle 2>/dev/null
	rmmod blksnap || { failed=$((failed + 1)); echo '# the module cannot be unloaded'; }
fi
echo "# areas: $passed passed, $failed failed, $skipped skipped"
echo "# tests: $tests_passed passed, $tests_failed failed, $tests_skipped skipped"
((failed == 0)) || exit 1
((passed)) || exit 4
exit 0
