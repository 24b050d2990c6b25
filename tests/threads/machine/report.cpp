// SPDX-License-Identifier: GPL-2.0
#include <machine/report.hpp>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <unistd.h>

namespace threads
{

namespace
{

constexpr const char *kLiveNames[] = {
	"allocations", "pages",	       "own bios",	     "records",	 "parked bios",
	"works",       "open devices", "remembered devices", "freezers", "image disks"};
std::atomic<long> live[static_cast<int>(Live::End)];
std::atomic<u64> counts[static_cast<int>(Done::End)];

const u64 start_ns = now_ns();

constexpr u64 kPatienceNs = 60'000'000'000;
constexpr int kBeats = 256;

struct Place {
	std::atomic<const char *> name;
	std::atomic<u64> last_ns;
	std::atomic<bool> used;
};
Place places[kBeats];

} // namespace

std::atomic<bool> verbose;

void fail(const char *format, ...)
{
	std::va_list arguments;
	va_start(arguments, format);
	std::fprintf(stderr, "threads: ");
	std::vfprintf(stderr, format, arguments);
	std::fputc('\n', stderr);
	va_end(arguments);
	std::printf("0 passed, 1 failed\n");
	std::fflush(stdout);
	std::abort();
}

void count_live(Live what, long change)
{
	live[static_cast<int>(what)].fetch_add(change, std::memory_order_relaxed);
}

void check_nothing_lives()
{
	for (int i = 0; i < static_cast<int>(Live::End); i++)
		if (const long left = live[i].load(std::memory_order_relaxed))
			fail("%ld %s are left after the unload", left, kLiveNames[i]);
}

void count_done(Done what, u64 many)
{
	counts[static_cast<int>(what)].fetch_add(many, std::memory_order_relaxed);
}

u64 done(Done what)
{
	return counts[static_cast<int>(what)].load(std::memory_order_relaxed);
}

void print_progress()
{
	const auto value = [](Done what) { return static_cast<unsigned long long>(done(what)); };
	std::printf("%3llu s: %llu takes (%llu failed), %llu images lost, %llu reloads, "
		    "%llu image sectors checked, %llu image writes, %llu writes, %llu calls\n",
		    static_cast<unsigned long long>((now_ns() - start_ns) / 1'000'000'000),
		    value(Done::Take), value(Done::FailedTake), value(Done::LostImage),
		    value(Done::Reload), value(Done::ImageSector), value(Done::ImageWrite),
		    value(Done::Write), value(Done::Call));
	std::fflush(stdout);
}

u64 now_ns()
{
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

Beat::Beat(const char *name) : place_(0)
{
	while (places[place_].used.exchange(true, std::memory_order_relaxed))
		if (++place_ == kBeats)
			fail("too many threads");
	places[place_].last_ns.store(now_ns(), std::memory_order_relaxed);
	places[place_].name.store(name, std::memory_order_relaxed);
}

Beat::~Beat()
{
	places[place_].name.store(nullptr, std::memory_order_relaxed);
	places[place_].used.store(false, std::memory_order_relaxed);
}

void Beat::alive()
{
	places[place_].last_ns.store(now_ns(), std::memory_order_relaxed);
}

void check_beats()
{
	for (Place &place : places) {
		const u64 last_ns = place.last_ns.load(std::memory_order_relaxed);
		const char *name = place.name.load(std::memory_order_relaxed);
		if (name && now_ns() > last_ns + kPatienceNs)
			fail("%s makes no progress", name);
	}
}

} // namespace threads
