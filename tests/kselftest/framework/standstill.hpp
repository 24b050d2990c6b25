// SPDX-License-Identifier: GPL-2.0
//
// What stands still for a while because somebody else wants so: a frozen file system, a suspended device.
#pragma once

#include "disk.hpp"
#include "mount.hpp"
#include "process.hpp"

#include <string>

namespace kselftest
{

// A file system that somebody else freezes, as fsfreeze(8) does.
class Frozen
{
public:
	explicit Frozen(const Mount &mount) : path_(mount.path())
	{
		run_or_throw({"fsfreeze", "--freeze", path_});
	}
	~Frozen() { (void)thaw(); }
	Frozen(const Frozen &) = delete;
	Frozen &operator=(const Frozen &) = delete;

	// Return: 0 if it was frozen until now.
	int thaw() const { return run({"fsfreeze", "--unfreeze", path_}).status; }

private:
	const std::string path_;
};

// A dm device that holds what is sent to it. Children that may wait for it must be made before.
class Suspended
{
public:
	explicit Suspended(const DmDisk &disk) : name_(disk.dm_name())
	{
		settle_udev();
		run_or_throw({"dmsetup", "suspend", "--nolockfs", "--noflush", name_});
	}
	~Suspended() { try_resume(); }
	Suspended(const Suspended &) = delete;
	Suspended &operator=(const Suspended &) = delete;

	void resume() const { run_or_throw({"dmsetup", "resume", name_}); }
	void try_resume() const { (void)run({"dmsetup", "resume", name_}); }

private:
	const std::string name_;
};

} // namespace kselftest
