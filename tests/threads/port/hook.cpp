// SPDX-License-Identifier: GPL-2.0
//
// Port: the hook. The table of hooked disks is a word in each disk.
#include <blksnap/port/hook.h>

#include <blksnap/port/bio.h>
#include <blksnap/port/lock.h>
#include <machine/machine.hpp>

using namespace threads;

namespace
{

std::atomic<bool> installed{false};
// Tasks in what the core asked for, which may sleep. Adding orders nothing.
std::atomic<long> inside{0};

blksnap_decision ask_core(bio *bio, void *&tracked)
{
	tracked = bio->device->whole.tracked.load(std::memory_order_acquire);
	return tracked ? blksnap_write_submit(tracked, bio)
		       : blksnap_decision{BLKSNAP_PASS, nullptr};
}

} // namespace

// As core_takes() and core_takes_slowly() of the kernel's hook.
bool threads::hook_takes(bio *bio)
{
	const bool nowait = bio->nowait;
	void *tracked;

	if (!bio->sectors)
		return false;
	shim_rcu_read_lock();
	blksnap_decision decision = ask_core(bio, tracked);
	while (decision.verdict >= BLKSNAP_TAKEN_CROWDED) {
		inside.fetch_add(1, std::memory_order_relaxed);
		shim_rcu_read_unlock();
		if (decision.verdict == BLKSNAP_TAKEN_CROWDED)
			blksnap_write_backpressure(tracked, !nowait && !bio_list && !is_work);
		else
			blksnap_write_read_first(decision.copy);
		inside.fetch_sub(1, std::memory_order_release);
		if (decision.verdict == BLKSNAP_TAKEN_CROWDED)
			return true;
		shim_rcu_read_lock();
		decision = ask_core(bio, tracked);
	}
	shim_rcu_read_unlock();
	return decision.verdict != BLKSNAP_PASS;
}

int shim_hook_install() noexcept
{
	check_may_sleep("installing the hook");
	if (one_in(100))
		return -16;
	if (installed.exchange(true))
		fail("the hook is installed twice");
	return 0;
}

void shim_hook_remove() noexcept
{
	check_may_sleep("removing the hook");
	if (!installed.exchange(false))
		fail("the hook is removed twice");
	for (u32 i = 0; i < kDisks; i++)
		if (disk(i).tracked.load())
			fail("the hook is removed while a disk is in the table");
	shim_rcu_synchronize();
	while (inside.load(std::memory_order_acquire))
		usleep(50);
	shim_rcu_synchronize();
}

int shim_hook_add_disk(shim_bdev *bdev, void *disk) noexcept
{
	check_may_sleep("hooking a disk");
	if (one_in(100))
		return -12;
	if (bdev->device->whole.tracked.exchange(disk))
		fail("%s is hooked twice", bdev->device->name.c_str());
	return 0;
}

void shim_hook_del_disk(void *tracked) noexcept
{
	check_may_sleep("unhooking a disk");
	for (u32 i = 0; i < kDisks; i++) {
		void *expected = tracked;
		if (disk(i).tracked.compare_exchange_strong(expected, nullptr))
			return;
	}
	fail("a disk is unhooked that was not hooked");
}
