// SPDX-License-Identifier: GPL-2.0
//
// Neighbour: a second tracker on a disk that has one mostly, which comes and goes. Its snapshots take copies of
// the same writes. Nobody looks at them: they only have to be out of the way.
#include <script/ioctl.hpp>
#include <script/script.hpp>

#include <machine/machine.hpp>

namespace threads
{

void run_neighbour(Stop &stop)
{
	constexpr blk_snap_dev kDevice{kDiskMajor, kPartition}, kStore{kDiskMajor, kDisks - 1};
	constexpr u64 kStored = 1500; // fewer than the partition has: some images are lost
	Beat beat("the neighbour");

	while (!stop.load(std::memory_order_relaxed)) {
		beat.alive();
		ioctl::Id id{};
		if (ioctl::create({kDevice}, id) == 0) {
			if (one_in(3) && ioctl::append(id, kStore, {{8, kStored}}) == 0)
				count_done(ioctl::take(id) ? Done::FailedTake : Done::Take);
			pause_us(20'000);
			if (const long result = ioctl::destroy(id))
				fail("a destroy by the neighbour gives %ld", result);
		}
		if (!one_in(3))
			(void)ioctl::remove_tracker(kDevice);
	}
}

} // namespace threads
