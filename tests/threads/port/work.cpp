// SPDX-License-Identifier: GPL-2.0
//
// Port: deferred work. Each has a thread of its own.
#include <blksnap/port/work.h>

#include <chrono>
#include <condition_variable>
#include <machine/machine.hpp>
#include <mutex>
#include <thread>

using namespace threads;

using Clock = std::chrono::steady_clock;

struct shim_work {
	enum shim_work_kind kind;
	void *owner;
	std::mutex mutex;
	std::condition_variable wake;
	bool queued = false;
	bool delayed = false;
	bool dying = false;
	Clock::time_point due;
	std::thread thread;
};

namespace threads
{
thread_local bool is_work = false;
}

namespace
{

// False: it ends.
bool wait_for_call(shim_work &work)
{
	std::unique_lock lock(work.mutex);
	for (;;) {
		if (work.delayed && Clock::now() >= work.due)
			work.queued = true;
		if (work.queued)
			break;
		if (work.dying)
			return false;
		if (work.delayed)
			work.wake.wait_until(lock, work.due);
		else
			work.wake.wait(lock);
	}
	work.queued = work.delayed = false;
	return true;
}

void run(shim_work &work)
{
	is_work = true;
	while (wait_for_call(work))
		blksnap_work_run(work.kind, work.owner);
}

} // namespace

shim_work *shim_work_create(enum shim_work_kind kind, void *owner, const char *) noexcept
{
	check_may_sleep("making a work");
	if (one_in(1000))
		return nullptr;
	count_live(Live::Work, 1);
	auto *work = new shim_work;
	work->kind = kind;
	work->owner = owner;
	work->thread = std::thread([work] { run(*work); });
	return work;
}

void shim_work_queue(shim_work *work) noexcept
{
	std::lock_guard guard(work->mutex);
	work->queued = true;
	work->wake.notify_one();
}

void shim_work_queue_delayed(shim_work *work, shim_u32 delay_ms) noexcept
{
	std::lock_guard guard(work->mutex);
	if (work->queued || work->delayed || work->dying)
		return;
	work->delayed = true;
	work->due = Clock::now() + std::chrono::milliseconds(delay_ms);
	work->wake.notify_one();
}

void shim_work_destroy(shim_work *work) noexcept
{
	check_may_sleep("ending a work");
	{
		std::lock_guard guard(work->mutex);
		work->dying = true;
		work->delayed = false;
		work->wake.notify_one();
	}
	work->thread.join();
	count_live(Live::Work, -1);
	delete work;
}
