// SPDX-License-Identifier: GPL-2.0
//
// Stuck: a dm device that holds what is sent to it until it is resumed.
#pragma once

#include "block_io.hpp"
#include "kselftest.hpp"
#include "process.hpp"

#include <unistd.h>

namespace kselftest
{

class Stuck
{
public:
	Stuck(const Disk &lower, std::uint64_t sectors) : disk_(linear_table(lower, 0, sectors)) {}
	~Stuck() { (void)run({"dmsetup", "resume", disk_.dm_name()}); }

	const DmDisk &disk() const { return disk_; }
	void hold() const
	{
		settle_udev();
		run_or_throw({"dmsetup", "suspend", "--nolockfs", "--noflush", disk_.dm_name()});
	}
	void let_go() const { run_or_throw({"dmsetup", "resume", disk_.dm_name()}); }

private:
	const DmDisk disk_;
};

// A test that ends early must not wait for what is held.
class LetGo
{
public:
	explicit LetGo(const Stuck &stuck) : stuck_(stuck) {}
	~LetGo() { (void)run({"dmsetup", "resume", stuck_.disk().dm_name()}); }

private:
	const Stuck &stuck_;
};

// More than the store gathers before it is written to: a destroy need not wait for what is still gathered.
inline void overwrite_some(const Disk &origin)
{
	for (std::uint64_t at = 0; at < 8192; at += 512)
		EXPECT_ERRNO(BlockFile(origin).write(at, pattern(2, 512)), 0);
	usleep(1000000);
}

} // namespace kselftest
