// SPDX-License-Identifier: GPL-2.0
//
// Writers: change the origins all the time, through everything that happens to the module.
#include <script/script.hpp>

#include <deque>
#include <memory>
#include <script/record.hpp>
#include <script/request.hpp>

namespace threads
{

namespace
{

Op draw_op()
{
	if (one_in(12))
		return Op::Discard;
	return one_in(12) ? Op::Zeroes : Op::Write;
}

u32 draw_sectors()
{
	return static_cast<u32>(1 + below(one_in(30) ? 300 : one_in(3) ? 60 : 10));
}

// As many as are free from there on.
u32 claim(u32 origin, u64 first, u32 sectors)
{
	u32 got = 0;
	while (got < sectors && first + got < kTurnSector && !is_spare(first + got) &&
	       !cell(origin, first + got).busy.exchange(true, std::memory_order_acquire))
		got++;
	return got;
}

void end_write(u32 origin, u64 first, const Request &request)
{
	for (u64 i = 0; i < request.data.size(); i++) {
		Cell &written = cell(origin, first + i);
		if (request.op != Op::Discard)
			written.completed.store(version_of(request.data[i]),
						std::memory_order_relaxed);
		written.busy.store(false, std::memory_order_release);
	}
	count_done(Done::Write);
}

// Through the partition, if one lies there, at times.
Device &draw_path(u32 origin, u64 first, u32 sectors)
{
	Device &partition = disk(kPartition);
	const bool within = &partition.whole == &disk(origin) && first >= partition.start &&
			    first + sectors <= partition.start + partition.sectors;
	return within && one_in(2) ? partition : disk(origin);
}

std::unique_ptr<Request> make_write(u32 origin, Op op, u64 first, u32 sectors)
{
	Device &device = draw_path(origin, first, sectors);
	auto request = std::make_unique<Request>(device, op, first - device.start, sectors);
	for (u32 i = 0; i < sectors; i++) {
		Cell &written = cell(origin, first + i);
		const u64 version = written.submitted.load(std::memory_order_relaxed) + 1;
		written.submitted.store(version, std::memory_order_relaxed);
		request->data[i] = make_stamp(origin, first + i, version);
	}
	request->on_end = [=, &request = *request] { end_write(origin, first, request); };
	return request;
}

std::unique_ptr<Request> draw_write()
{
	const auto origin = static_cast<u32>(below(kOrigins));
	if (one_in(20))
		return std::make_unique<Request>(disk(origin), Op::Flush, 0, 0);
	const u64 first = below(kTurnSector);
	const u32 sectors = claim(origin, first, draw_sectors());
	return sectors ? make_write(origin, draw_op(), first, sectors) : nullptr;
}

void check_ended(Request &request)
{
	if (const int error = request.wait())
		fail("a write to an origin fails with error %d", error);
}

} // namespace

void run_writer(Stop &stop)
{
	std::deque<std::unique_ptr<Request>> flying;
	Beat beat("a writer");

	while (!stop.load(std::memory_order_relaxed)) {
		beat.alive();
		if (auto request = draw_write()) {
			flying.push_back(std::move(request));
			flying.back()->submit(one_in(4) ? 3 : 1);
		}
		while (flying.size() > 4) {
			check_ended(*flying.front());
			flying.pop_front();
		}
		if (one_in(3))
			pause_us(300);
	}
	for (auto &request : flying)
		check_ended(*request);
}

void run_turns(Stop &stop)
{
	Beat beat("the writer in turn");

	while (!stop.load(std::memory_order_relaxed)) {
		for (u32 origin = 0; origin < kOrigins; origin++) {
			beat.alive();
			const auto request = make_write(origin, Op::Write, kTurnSector, 1);
			request->submit(1);
			check_ended(*request);
		}
		pause_us(200);
	}
}

} // namespace threads
