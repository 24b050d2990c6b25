// SPDX-License-Identifier: GPL-2.0
//
// Ioctl: the users' side of the control. Decodes what a program passes, checks it, and answers.
//
// Nothing a program says is trusted: the whole request number is compared, counts are bounded
// before memory is allocated for them, each user address is read once, and nothing is written but
// values that were set here.
#pragma once

#include <blksnap/core/control.hpp>

namespace blksnap
{

class Ioctl final
{
public:
	// `compat`: the program is a 32-bit one, its structures are smaller.
	Ioctl(Control &control, u64 argument, bool compat)
		: control_(control), argument_(argument), compat_(compat)
	{
	}

	// Return: what the system call gives on success. Context: process, no lock held.
	Result<u32> run(u32 command);

private:
	Result<u32> run_fixed(u32 command, bool &known);
	Result<u32> run_native(u32 command, bool &known);
	Result<u32> run_compat(u32 command, bool &known);

	Result<u32> version();
	Result<u32> tracker_remove();
	Result<u32> snapshot_destroy();
	Result<u32> snapshot_take();
	Result<u32> snapshot_wait_event();
	template <class Argument, class Info> Result<u32> tracker_collect();
	template <class Argument> Result<u32> tracker_read_cbt_map();
	template <class Argument> Result<u32> tracker_mark_dirty_blocks();
	template <class Argument> Result<u32> snapshot_create();
	template <class Argument> Result<u32> snapshot_append_storage();
	template <class Argument> Result<u32> snapshot_collect();
	template <class Argument> Result<u32> snapshot_collect_images();

	template <class T> Result<void> read(T &to) const { return read_at(argument_, to); }
	template <class T> Result<void> write(const T &from) const
	{
		return write_at(argument_, from);
	}
	template <class T> static Result<void> read_at(u64 address, T &to)
	{
		return port_result(shim_user_read(&to, address, sizeof(T)));
	}
	template <class T> static Result<void> write_at(u64 address, const T &from)
	{
		return port_result(shim_user_write(address, &from, sizeof(T)));
	}

	Control &control_;
	const u64 argument_;
	const bool compat_;
};

} // namespace blksnap
