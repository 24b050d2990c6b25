// SPDX-License-Identifier: GPL-2.0
//
// Event queue: order, merging, waiting, closing under waiters.
#include <blksnap/core/event_queue.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "fake_port.hpp"

using namespace blksnap;

namespace
{

Ref<EventQueue> make_queue(u32 devices)
{
	auto queue = EventQueue::create({}, devices);
	EXPECT_TRUE(queue.ok());
	return queue.release_value();
}

Event expect_event(EventQueue &queue)
{
	auto event = queue.wait(0);
	EXPECT_TRUE(event.ok());
	return event.ok() ? event.value() : Event{};
}

u64 elapsed_ms(std::chrono::steady_clock::time_point since)
{
	using namespace std::chrono;
	return duration_cast<milliseconds>(steady_clock::now() - since).count();
}

} // namespace

TEST(event_queue, delivers_in_order_of_posting)
{
	auto queue = make_queue(3);
	queue->post_corrupted(8, 2, Errno::Io);
	queue->post_low_free_space(4096);
	queue->post_corrupted(8, 1, Errno::NoSpc);

	const Event first = expect_event(*queue);
	EXPECT_EQ(first.kind, Event::Kind::Corrupted);
	EXPECT_EQ(first.device_major, 8u);
	EXPECT_EQ(first.device_minor, 2u);
	EXPECT_EQ(first.error, Errno::Io);
	const Event second = expect_event(*queue);
	EXPECT_EQ(second.kind, Event::Kind::LowFreeSpace);
	EXPECT_EQ(second.requested_sectors, 4096u);
	EXPECT_GE(second.time_label_ns, first.time_label_ns);
	EXPECT_EQ(expect_event(*queue).device_minor, 1u);
	EXPECT_EQ(queue->wait(0).error(), Errno::NoEnt);
}

TEST(event_queue, merges_requests_for_space_until_read)
{
	auto queue = make_queue(0);
	queue->post_low_free_space(100);
	queue->post_low_free_space(300);
	queue->post_low_free_space(200);
	EXPECT_EQ(expect_event(*queue).requested_sectors, 300u);
	EXPECT_EQ(queue->wait(0).error(), Errno::NoEnt);
	queue->post_low_free_space(50);
	EXPECT_EQ(expect_event(*queue).requested_sectors, 50u);
}

TEST(event_queue, forgets_what_was_said_of_earlier_images)
{
	auto queue = make_queue(2);
	queue->post_corrupted(8, 1, Errno::Io);
	queue->post_corrupted(8, 2, Errno::Io);
	queue->post_low_free_space(100);
	const Event told = expect_event(*queue);
	EXPECT_EQ(told.kind, Event::Kind::Corrupted);
	queue->forget_corrupted();
	EXPECT_EQ(expect_event(*queue).kind, Event::Kind::LowFreeSpace);
	EXPECT_EQ(queue->wait(0).error(), Errno::NoEnt);
	// It could not be delivered, and is not true any more.
	queue->put_back(told);
	EXPECT_EQ(queue->wait(0).error(), Errno::NoEnt);
	queue->post_corrupted(8, 1, Errno::NoSpc);
	queue->post_corrupted(8, 2, Errno::NoSpc);
	const Event fresh = expect_event(*queue);
	EXPECT_EQ(fresh.error, Errno::NoSpc);
	queue->put_back(fresh);
	EXPECT_EQ(expect_event(*queue).device_minor, 1u);
	EXPECT_EQ(expect_event(*queue).device_minor, 2u);
}

TEST(event_queue, reports_a_device_once)
{
	auto queue = make_queue(2);
	queue->post_corrupted(0, 0, Errno::Io);
	queue->post_corrupted(0, 0, Errno::NoSpc);
	EXPECT_EQ(expect_event(*queue).error, Errno::Io);
	queue->post_corrupted(0, 0, Errno::NoSpc);
	EXPECT_EQ(queue->wait(0).error(), Errno::NoEnt);
	queue->post_corrupted(0, 1, Errno::NoSpc);
	EXPECT_EQ(expect_event(*queue).device_minor, 1u);
}

TEST(event_queue, an_event_put_back_comes_first_again)
{
	auto queue = make_queue(1);
	queue->post_low_free_space(10);
	queue->post_corrupted(8, 0, Errno::Io);
	const Event low = expect_event(*queue);
	queue->put_back(low);
	const Event again = expect_event(*queue);
	EXPECT_EQ(again.kind, Event::Kind::LowFreeSpace);
	EXPECT_EQ(again.time_label_ns, low.time_label_ns);
	// A newer request meanwhile: one remains, for the larger size.
	queue->post_low_free_space(5);
	queue->put_back(low);
	const Event corrupted = expect_event(*queue);
	EXPECT_EQ(corrupted.kind, Event::Kind::Corrupted);
	queue->put_back(corrupted);
	EXPECT_EQ(expect_event(*queue).kind, Event::Kind::Corrupted);
	EXPECT_EQ(expect_event(*queue).requested_sectors, 10u);
	EXPECT_EQ(queue->wait(0).error(), Errno::NoEnt);
}

TEST(event_queue, times_out_after_real_milliseconds)
{
	auto queue = make_queue(0);
	const auto start = std::chrono::steady_clock::now();
	EXPECT_EQ(queue->wait(30).error(), Errno::NoEnt);
	EXPECT_GE(elapsed_ms(start), 29u);
}

TEST(event_queue, a_signal_ends_the_wait_but_loses_no_event)
{
	auto queue = make_queue(0);
	fake::set_signal(true);
	EXPECT_EQ(queue->wait(10'000).error(), Errno::Intr);
	queue->post_low_free_space(1);
	EXPECT_TRUE(queue->wait(10'000).ok());
	fake::set_signal(false);
}

TEST(event_queue, closed_means_gone)
{
	auto queue = make_queue(1);
	queue->post_low_free_space(1);
	queue->close();
	EXPECT_EQ(queue->wait(1000).error(), Errno::Srch);
	queue->post_corrupted(1, 1, Errno::Io);
	queue->put_back(Event{});
	EXPECT_EQ(queue->wait(0).error(), Errno::Srch);
	queue->close();
}

TEST(event_queue, close_does_not_wait_for_its_waiters)
{
	const long before = fake::live_allocations();
	std::vector<std::thread> waiters;
	std::atomic<int> inside{0}, gone{0};
	auto queue = make_queue(1);
	for (int i = 0; i < 4; i++) {
		waiters.emplace_back([&, mine = queue]() mutable {
			inside++;
			gone += mine->wait(60'000).error() == Errno::Srch;
			mine.reset();
		});
	}
	while (inside < 4)
		std::this_thread::yield();
	queue->close();
	queue.reset(); // the last waiter frees it
	for (auto &waiter : waiters)
		waiter.join();
	EXPECT_EQ(gone, 4);
	waiters.clear();
	EXPECT_EQ(fake::live_allocations(), before);
}

TEST(event_queue, each_event_goes_to_one_of_many_waiters)
{
	constexpr u32 devices = 200;
	auto queue = make_queue(devices);
	std::atomic<u32> seen[devices] = {};
	std::vector<std::thread> waiters;
	for (int i = 0; i < 4; i++) {
		waiters.emplace_back([&, mine = queue] {
			for (;;) {
				auto event = mine->wait(60'000);
				if (!event.ok())
					return;
				seen[event.value().device_minor]++;
			}
		});
	}
	std::thread poster([&] {
		for (u32 minor = 0; minor < devices; minor++)
			queue->post_corrupted(1, minor, Errno::Io);
	});
	poster.join();
	const auto all_seen = [&] {
		for (auto &count : seen) {
			if (count == 0)
				return false;
		}
		return true;
	};
	while (!all_seen())
		std::this_thread::yield();
	queue->close();
	for (auto &waiter : waiters)
		waiter.join();
	for (auto &count : seen)
		EXPECT_EQ(count, 1u);
}

TEST(event_queue, each_failed_allocation_leaks_nothing)
{
	const long before = fake::live_allocations();
	EXPECT_EQ(fake::walk_allocation_failures([](long) { (void)EventQueue::create({}, 3); }), 2);
	EXPECT_EQ(fake::live_allocations(), before);
}
