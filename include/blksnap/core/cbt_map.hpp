// SPDX-License-Identifier: GPL-2.0
//
// CBT map: which blocks of a device changed, and since which snapshot.
//
// One byte per tracking block: 0 is never in this generation, else the number of the snapshot that
// was current when the block last changed. Writers mark the write map; the owner of a taken snapshot
// reads the readable map, which is the write map as it was at the cut. A client that saw number N at
// its last backup copies the blocks whose byte is above N.
//
// The map is a superset: no change is ever missed. In doubt (a mark outside of the map, no memory for
// a map of the new size) it is damaged, and the next take that succeeds begins a new generation, at
// which clients copy everything.
//
// The switch of a take copies nothing while the gate is closed:
//
//     begin_switch()           marks go to the write map and to its mirror, the next readable map
//     shim_rcu_synchronize()   the caller's, once for all devices: each marker has seen the mirror
//     copy()                   older marks follow; a newer mark in the mirror is never overwritten
//     gate closed, drained     no mark() is running any more
//     commit_switch()          pointers and numbers; constant time
//     gate open
//     shim_rcu_synchronize()   if it is wanted: see has_retired()
//     free_retired()           frees what commit_switch() put aside
//
// At number 255, and while damaged, begin_switch() prepares two empty maps instead and
// commit_switch() puts them in place: a new generation, as if born just before this take.
//
// Memory ordering: maps are published with release and read with acquire inside RCU read sections
// and freed a grace period after they were unpublished. Bytes are relaxed atomics: a byte carries no
// other data, and the gate, or the grace period, orders marks against the switch. The number
// changes only while the gate is closed and drained, so that mark() may store without comparing.
//
// Control calls (all but mark, mark_both, covers, info) are serialised by the caller.
#pragma once

#include <blksnap/base/memory.hpp>
#include <blksnap/core/uuid.hpp>
#include <blksnap/port/lock.h>

namespace blksnap
{

class CbtMap
{
public:
	static constexpr u8 kLastNumber = 255;

	struct Geometry {
		u64 capacity_sectors = 0;
		u32 shift = 0; // block size is 1 << shift bytes
		u32 blocks = 0;
	};
	struct Info {
		u32 block_bytes = 0;
		u32 blocks = 0;
		u64 capacity_bytes = 0;
		Uuid generation_id;
		u8 snap_number = 0;
	};

	// The block is 1 << minimum_shift bytes, doubled while there are more than maximum_count.
	static Geometry geometry(u64 capacity_sectors, u32 minimum_shift, u32 maximum_count);

	// Context: process, like all that follow if they do not say otherwise.
	static Result<Own<CbtMap>> create(u64 capacity_sectors, u32 minimum_shift,
					  u32 maximum_count);
	CbtMap(const CbtMap &) = delete;
	CbtMap &operator=(const CbtMap &) = delete;
	// Nobody marks any more.
	~CbtMap();

	// A write to the device. false: some of it lies outside of the map; the map is now damaged
	// (what lies inside was marked). Counted in flight by the caller from before this call on.
	// Context: any, inside an RCU read section.
	[[nodiscard]] bool mark(u64 sector, u64 sectors);
	// A write to the image, or MARK_DIRTY: changes the readable map too. What lies outside is
	// ignored. Needs no gate and no RCU section of the caller. Context: any.
	void mark_both(u64 sector, u64 sectors);
	// Does the range lie within the device as the map knows it? Context: any.
	bool covers(u64 sector, u64 sectors) const;

	// No readable map may be held. ENOMEM: nothing has changed.
	Result<void> begin_switch();
	void copy();
	// Context: any, the gate closed and drained. Cannot fail.
	void commit_switch();
	// Instead of commit_switch(): as if begin_switch() had not been called.
	void drop_switch();
	// The snapshot has ended, or the take failed after commit_switch(): numbers stay advanced.
	// A no-op without readable map.
	void hide_readable();

	// What the last of these three put aside may still be marked in. Before the next one it is freed, a
	// grace period later: the caller's, once for all devices.
	bool has_retired() const { return static_cast<bool>(retired_); }
	void free_retired();

	// The same for one map, each with a grace period of its own.
	void finish_switch()
	{
		if (has_retired())
			shim_rcu_synchronize();
		free_retired();
	}
	void cancel_switch()
	{
		drop_switch();
		finish_switch();
	}
	void release_readable()
	{
		hide_readable();
		finish_switch();
	}

	// Doubt about the map: forgets everything under a new id. Without memory for it the map
	// stays, damaged. A held readable map keeps its id and contents.
	void start_generation();
	// The device has another size now; likewise.
	void resize(u64 capacity_sectors);
	bool damaged() const { return damaged_.load(Order::Acquire); }

	bool readable() const { return readable_.load(Order::Acquire) != nullptr; }
	// Of the readable map while there is one (it keeps the id of its cut), else of the write map.
	Info info() const;
	// Copies bytes of the readable map, which stays until hide_readable(); marks may raise them
	// meanwhile. Return: how many, fewer than `length` at the end, 0 exactly there. EPERM without
	// readable map, EINVAL beyond its end.
	Result<u32> read(u32 offset, u32 length, u8 *to) const;

private:
	enum class Switch : u8 { Idle, Copying, Renewing };
	struct Table;
	template <class T, class... Args> friend Result<Own<T>> try_new(Gfp gfp, Args &&...args);

	CbtMap(u64 capacity_sectors, u32 minimum_shift, u32 maximum_count);
	bool mark_blocks(Table &table, u64 sector, u64 sectors);
	Result<Own<Table>> make_table() const;
	Result<void> renew();
	void commit_copy();
	void commit_renewal();

	u64 capacity_sectors_; // of the device; the write map follows when there is memory
	u32 minimum_shift_;
	u32 maximum_count_;

	Atomic<Table *> write_;	   // never null after create()
	Atomic<Table *> readable_; // null: no snapshot holds the device
	Atomic<bool> damaged_;

	// Prepared by begin_switch().
	Switch switch_ = Switch::Idle;
	Own<Table> next_write_;
	Own<Table> next_readable_;
	Uuid next_id_;
	// Out of use; freed when no marker can hold it.
	Own<Table> retired_;
};

} // namespace blksnap
