// SPDX-License-Identifier: GPL-2.0
//
// InFlight: counts that a drain can trust, and records that are kept once.
#include <blksnap/core/in_flight.hpp>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

struct Record {
	std::atomic<int> users{0};
};

using Flights = InFlight<Record>;

} // namespace

TEST(in_flight, is_idle_when_all_have_left)
{
	Flights flights;
	ASSERT_TRUE(flights.init().ok());
	EXPECT_TRUE(flights.idle());
	auto &first = flights.enter();
	auto &second = flights.enter();
	EXPECT_FALSE(flights.idle());
	Flights::leave(second);
	EXPECT_FALSE(flights.idle());
	Flights::leave(first);
	EXPECT_TRUE(flights.idle());
}

TEST(in_flight, keeps_as_many_records_as_there_is_room_for)
{
	Flights flights;
	ASSERT_TRUE(flights.init().ok());
	auto &slot = flights.enter();
	Record records[Flights::Slot::kKept + 1];
	EXPECT_EQ(slot.take_record(), nullptr);
	std::set<Record *> homeless;
	for (Record &record : records)
		if (Record *left = slot.keep_record(&record))
			homeless.insert(left);
	EXPECT_EQ(homeless.size(), 1u);
	std::set<Record *> taken;
	while (Record *record = slot.take_record())
		EXPECT_TRUE(taken.insert(record).second) << "given twice";
	EXPECT_EQ(taken.size(), std::size_t{Flights::Slot::kKept});
	for (Record *record : homeless)
		EXPECT_EQ(taken.count(record), 0u);
	Flights::leave(slot);
}

TEST(in_flight, what_is_kept_can_be_had_at_the_end)
{
	Flights flights;
	ASSERT_TRUE(flights.init().ok());
	Record record;
	auto &slot = flights.enter();
	EXPECT_EQ(slot.keep_record(&record), nullptr);
	Flights::leave(slot);
	EXPECT_EQ(flights.take_kept(), &record);
	EXPECT_EQ(flights.take_kept(), nullptr);
}

TEST(in_flight, nothing_is_kept_without_slots)
{
	Flights flights;
	EXPECT_EQ(flights.take_kept(), nullptr);
}

// Threads that share one slot: as completions do that bring records home from other CPUs.
TEST(in_flight, a_record_has_one_user_at_a_time)
{
	constexpr int kThreads = 4;
	Flights flights;
	ASSERT_TRUE(flights.init().ok());
	auto &slot = flights.enter();
	std::vector<std::unique_ptr<Record>> records;
	for (u32 i = 0; i < Flights::Slot::kKept; i++) {
		records.push_back(std::make_unique<Record>());
		ASSERT_EQ(slot.keep_record(records.back().get()), nullptr);
	}
	std::atomic<u64> shared{0};
	std::vector<std::thread> threads;
	for (int i = 0; i < kThreads; i++)
		threads.emplace_back([&] {
			for (int round = 0; round < 20000; round++) {
				Record *record = slot.take_record();
				if (!record)
					continue;
				if (record->users.fetch_add(1) != 0)
					shared++;
				record->users.fetch_sub(1);
				// Nothing is lost: each thread brings back what it took, so there is room.
				while ((record = slot.keep_record(record)))
					;
			}
		});
	for (auto &thread : threads)
		thread.join();
	EXPECT_EQ(shared, 0u);
	u32 left = 0;
	while (slot.take_record())
		left++;
	EXPECT_EQ(left, Flights::Slot::kKept);
	Flights::leave(slot);
}
