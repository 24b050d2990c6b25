// SPDX-License-Identifier: GPL-2.0
//
// Report: the end of a run that failed, what is alive, and whether everybody gets on.
//
// All counters are relaxed: they must order nothing for the core, or its races would not be seen.
#pragma once

#include <atomic>
#include <cstdint>

namespace threads
{

using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// What the core must have given back when it is unloaded.
enum class Live : u8 {
	Memory,
	Page,
	Io,
	Record,
	Parked,
	Work,
	Bdev,
	Remembered,
	Freezer,
	Image,
	End
};
void count_live(Live what, long change);
void check_nothing_lives();

// What was done, for the last lines.
enum class Done : u8 {
	Take,
	FailedTake,
	LostImage,
	Reload,
	ImageSector,
	ImageWrite,
	Write,
	Call,
	End
};
void count_done(Done what, u64 many = 1);
u64 done(Done what);
void print_progress();

u64 now_ns();
extern std::atomic<bool> verbose;

// A thread that must make progress: the watchdog ends the run if it does not.
class Beat
{
public:
	explicit Beat(const char *name);
	~Beat();
	Beat(const Beat &) = delete;
	void alive();

private:
	int place_;
};
void check_beats();

} // namespace threads
