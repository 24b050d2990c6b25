// SPDX-License-Identifier: GPL-2.0
//
// Guarded, Mutex and WaitQueue on several threads; and that the fake notices a wrong order.
#include <blksnap/base/lock.hpp>
#include <blksnap/base/memory.hpp>

#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

TEST(lock, guarded_data_is_changed_by_one_at_a_time)
{
	Guarded<u64, LockRank::Area> sum("sum", 5);
	Mutex mutex(LockRank::Control, "mutex");
	u64 under_mutex = 0;
	std::vector<std::thread> threads;
	for (int i = 0; i < 4; i++) {
		threads.emplace_back([&] {
			for (int n = 0; n < 10'000; n++) {
				sum.with([](u64 &value) { value++; });
				Mutex::Guard guard(mutex);
				under_mutex++;
			}
		});
	}
	for (auto &thread : threads)
		thread.join();
	EXPECT_EQ(sum.with([](u64 &value) { return value; }), 40'005u);
	EXPECT_EQ(under_mutex, 40'000u);
}

TEST(lock, a_waiter_sees_what_was_set_before_the_wake)
{
	WaitQueue queue("queue");
	Guarded<int, LockRank::Image> value("value", 0);
	std::thread setter([&] {
		for (int i = 1; i <= 100; i++) {
			value.with([&](int &v) { v = i; });
			queue.wake_all();
		}
	});
	const auto done = [&] { return value.with([](int &v) { return v == 100; }); };
	EXPECT_EQ(queue.wait(done, 0, false), 0);
	setter.join();
}

TEST(lock, a_wait_ends_by_time_or_signal)
{
	WaitQueue queue("queue");
	const auto never = [] { return false; };
	EXPECT_EQ(queue.wait(never, 5, true), -to_int(Errno::TimedOut));
	fake::set_signal(true);
	EXPECT_EQ(queue.wait(never, 0, true), -to_int(Errno::Intr));
	EXPECT_EQ(queue.wait(never, 5, false), -to_int(Errno::TimedOut));
	fake::set_signal(false);
}

TEST(lock_death, ranks_and_sleeping_are_checked)
{
	Guarded<int, LockRank::Disk> outer("outer", 0);
	Guarded<int, LockRank::Area> inner("inner", 0);
	outer.with([&](int &) { inner.with([](int &) {}); });
	EXPECT_DEATH(inner.with([&](int &) { outer.with([](int &) {}); }), "out of order");
	EXPECT_DEATH(inner.with([&](int &) { (void)try_new<int>(Gfp::NoIo); }), "atomic context");
	inner.with([&](int &) { EXPECT_TRUE(try_new<int>(Gfp::NoWait).ok()); });
}
