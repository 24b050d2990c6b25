// SPDX-License-Identifier: GPL-2.0
//
// CBT map: marking without locks, and the switch without copying under the gate.
#include <blksnap/core/cbt_map.hpp>
#include <blksnap/base/mark.hpp>

namespace blksnap
{

namespace
{

constexpr u32 kLargestShift = 31; // the block size is told in 32 bits of bytes

// Bytes of a map, eight at once.
using Word = u64 __attribute__((may_alias));

u8 load_byte(const u8 &byte)
{
	return __atomic_load_n(&byte, __ATOMIC_RELAXED);
}

// Skips the store if nothing changes: writers of one hot block must not fight for its cache line.
void store_byte(u8 &byte, u8 value)
{
	if (load_byte(byte) != value)
		__atomic_store_n(&byte, value, __ATOMIC_RELAXED);
}

// For marks that may be late: never lowers what a newer mark stored.
void raise_byte(u8 &byte, u8 value)
{
	u8 seen = load_byte(byte);
	while (seen < value && !__atomic_compare_exchange_n(&byte, &seen, value, true,
							    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
}

void fill_byte(u8 &byte, u8 value)
{
	u8 never = 0;
	if (value != 0)
		__atomic_compare_exchange_n(&byte, &never, value, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
}

// Fills eight bytes that are zero in `to`; false if one of them is not.
bool try_fill_word(u8 *to, const u8 *from)
{
	const u64 value = __atomic_load_n(reinterpret_cast<const Word *>(from), __ATOMIC_RELAXED);
	u64 never = 0;
	return value == 0 ||
	       __atomic_compare_exchange_n(reinterpret_cast<Word *>(to), &never, value, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

} // namespace

// One map: the bytes, and what a marker must know to use them.
struct CbtMap::Table {
	Table(const Geometry &shape, u8 *zeroed) : geometry(shape), bytes(zeroed) {}
	Table(const Table &) = delete;
	Table &operator=(const Table &) = delete;
	~Table() { shim_memory_free_large(bytes); }

	template <class F> void each_byte(u64 sector, u64 sectors, F &&change);

	// What is told about this map. A take changes it outside of the lock under which it is read,
	// at most once in a grace period: the reader keeps the old one, whole.
	struct Label {
		Uuid generation_id;
		u8 number = 0; // of the last snapshot; before the first of a generation 0
	};
	const Label &label() const { return labels[label_in_use.load(Order::Acquire)]; }
	void set_label(const Label &label)
	{
		const u8 next = 1 - label_in_use.load(Order::Relaxed);
		labels[next] = label;
		label_in_use.store(next, Order::Release);
	}

	const Geometry geometry;
	u8 *const bytes;
	Atomic<u8> number{1};	  // what marks store here
	Atomic<Table *> mirror{}; // takes the same marks while it is filled

private:
	Label labels[2];
	Atomic<u8> label_in_use;
};

// Calls change(byte) for each block that the range touches inside of the map.
template <class F> void CbtMap::Table::each_byte(u64 sector, u64 sectors, F &&change)
{
	const u64 capacity = geometry.capacity_sectors;
	if (sectors == 0 || sector >= capacity)
		return;
	const u64 last_sector = sector + min(sectors, capacity - sector) - 1;
	const u32 shift = geometry.shift - kSectorShift;
	const u64 last = last_sector >> shift;
	for (u64 i = sector >> shift; i <= last; i++)
		change(bytes[i]);
}

CbtMap::Geometry CbtMap::geometry(u64 capacity_sectors, u32 minimum_shift, u32 maximum_count)
{
	ASSERT(minimum_shift >= kSectorShift && minimum_shift <= kLargestShift);
	u32 shift = minimum_shift - kSectorShift;
	const auto blocks = [&] {
		const u64 whole = capacity_sectors >> shift;
		return whole + ((whole << shift) != capacity_sectors ? 1 : 0);
	};
	while (blocks() > maximum_count && shift < kLargestShift - kSectorShift)
		shift++;
	return {capacity_sectors, shift + kSectorShift,
		static_cast<u32>(min(blocks(), u64{~u32{0}}))};
}

CbtMap::CbtMap(u64 capacity_sectors, u32 minimum_shift, u32 maximum_count)
	: capacity_sectors_(capacity_sectors), minimum_shift_(minimum_shift),
	  maximum_count_(maximum_count)
{
}

CbtMap::~CbtMap()
{
	Own<Table>{write_.load(Order::Relaxed)}.reset();
	Own<Table>{readable_.load(Order::Relaxed)}.reset();
}

Result<Own<CbtMap>> CbtMap::create(u64 capacity_sectors, u32 minimum_shift, u32 maximum_count)
{
	auto map =
		TRY(try_new<CbtMap>(Gfp::Kernel, capacity_sectors, minimum_shift, maximum_count));
	auto table = TRY(map->make_table());
	table->set_label({Uuid::random(), 0});
	map->write_.store(table.release(), Order::Release);
	return map;
}

Result<Own<CbtMap::Table>> CbtMap::make_table() const
{
	const Geometry shape = geometry(capacity_sectors_, minimum_shift_, maximum_count_);
	// Whole words for copy(), and never nothing.
	const std::size_t bytes = (std::size_t{shape.blocks} / sizeof(Word) + 1) * sizeof(Word);
	auto *zeroed = static_cast<u8 *>(shim_memory_alloc_large(bytes));
	if (!zeroed)
		return Errno::NoMem;
	auto table = try_new<Table>(Gfp::Kernel, shape, zeroed);
	if (!table.ok())
		shim_memory_free_large(zeroed);
	return table;
}

// --- marks -------------------------------------------------------------------------------------

bool CbtMap::mark(u64 sector, u64 sectors)
{
	Table &table = *write_.load(Order::Acquire);
	const u64 last = sector + sectors - 1;
	const u32 shift = table.geometry.shift - kSectorShift;
	// Nearly all writes: one block, nobody copies.
	if (sector <= last && last < table.geometry.capacity_sectors &&
	    !((sector ^ last) >> shift) && !table.mirror.load(Order::Acquire)) [[likely]] {
		store_byte(table.bytes[sector >> shift], table.number.load(Order::Acquire));
		return true;
	}
	return mark_blocks(table, sector, sectors);
}

bool CbtMap::mark_blocks(Table &table, u64 sector, u64 sectors)
{
	Table *mirror = table.mirror.load(Order::Acquire);
	const u8 number = table.number.load(Order::Acquire);
	table.each_byte(sector, sectors, [=](u8 &byte) { store_byte(byte, number); });
	if (mirror)
		mirror->each_byte(sector, sectors, [=](u8 &byte) { store_byte(byte, number); });
	const u64 capacity = table.geometry.capacity_sectors;
	if (sector <= capacity && sectors <= capacity - sector)
		return true;
	damaged_.store(true, Order::Release);
	return false;
}

void CbtMap::mark_both(u64 sector, u64 sectors)
{
	shim_rcu_read_lock();
	// Not counted in flight: a switch may happen meanwhile. So the number is read first, the
	// readable map last (see commit_copy()), and bytes are only raised.
	Table &table = *write_.load(Order::Acquire);
	const u8 number = table.number.load(Order::Acquire);
	Table *mirror = table.mirror.load(Order::Acquire);
	Table *readable = readable_.load(Order::Acquire);
	table.each_byte(sector, sectors, [=](u8 &byte) { raise_byte(byte, number); });
	for (Table *copied : {mirror, readable}) {
		if (!copied)
			continue;
		const u8 reported = copied->number.load(Order::Relaxed);
		copied->each_byte(sector, sectors, [=](u8 &byte) { raise_byte(byte, reported); });
	}
	shim_rcu_read_unlock();
}

bool CbtMap::covers(u64 sector, u64 sectors) const
{
	shim_rcu_read_lock();
	const u64 capacity = write_.load(Order::Acquire)->geometry.capacity_sectors;
	shim_rcu_read_unlock();
	return sector <= capacity && sectors <= capacity - sector;
}

// --- the switch --------------------------------------------------------------------------------

Result<void> CbtMap::begin_switch()
{
	ASSERT(switch_ == Switch::Idle && !readable());
	Table &table = *write_.load(Order::Relaxed);
	next_id_ = Uuid::random();
	const u8 number = table.number.load(Order::Relaxed);
	if (damaged() || number == kLastNumber) {
		auto fresh = TRY(make_table());
		next_readable_ = TRY(make_table());
		next_write_ = std::move(fresh);
		switch_ = Switch::Renewing;
		return {};
	}
	next_readable_ = TRY(make_table());
	next_readable_->number.store(number, Order::Relaxed);
	table.mirror.store(next_readable_.get(), Order::Release);
	switch_ = Switch::Copying;
	return {};
}

void CbtMap::copy()
{
	ASSERT(switch_ != Switch::Idle);
	if (switch_ == Switch::Renewing)
		return;
	const u8 *from = write_.load(Order::Relaxed)->bytes;
	u8 *to = next_readable_->bytes;
	const u32 blocks = next_readable_->geometry.blocks;
	for (u64 i = 0; i < blocks; i += sizeof(Word)) {
		if (try_fill_word(&to[i], &from[i]))
			continue;
		for (u64 j = i; j < i + sizeof(Word); j++)
			fill_byte(to[j], load_byte(from[j]));
	}
}

void CbtMap::commit_switch()
{
	ASSERT(switch_ != Switch::Idle);
	if (switch_ == Switch::Copying)
		commit_copy();
	else
		commit_renewal();
	switch_ = Switch::Idle;
}

void CbtMap::commit_copy()
{
	Table &table = *write_.load(Order::Relaxed);
	const u8 number = table.number.load(Order::Relaxed);
	// Damaged since begin_switch(): what was seen under the old id is worth nothing.
	const Table::Label label{damaged() ? next_id_ : table.label().generation_id, number};
	next_readable_->set_label(label);
	table.set_label(label);
	// In this order: mark_both() must find the new readable map in one of its two roles, and
	// a mark under the old number must reach it.
	readable_.store(next_readable_.release(), Order::Release);
	table.mirror.store(nullptr, Order::Release);
	table.number.store(static_cast<u8>(number + 1), Order::Release);
}

void CbtMap::commit_renewal()
{
	COVERAGE_MARK("cbt_map: a new generation at a take");
	next_readable_->set_label({next_id_, 1});
	next_write_->set_label({next_id_, 1});
	readable_.store(next_readable_.release(), Order::Release);
	next_write_->number.store(2, Order::Relaxed);
	retired_ = Own<Table>(write_.exchange(next_write_.release(), Order::AcqRel));
	damaged_.store(false, Order::Release);
}

void CbtMap::drop_switch()
{
	ASSERT(switch_ != Switch::Idle && !retired_);
	COVERAGE_MARK("cbt_map: a switch is cancelled");
	write_.load(Order::Relaxed)->mirror.store(nullptr, Order::Release);
	if (switch_ == Switch::Copying)
		retired_ = std::move(next_readable_);
	next_readable_.reset();
	next_write_.reset();
	switch_ = Switch::Idle;
}

void CbtMap::hide_readable()
{
	ASSERT(!retired_);
	retired_ = Own<Table>(readable_.exchange(nullptr, Order::AcqRel));
}

void CbtMap::free_retired()
{
	retired_.reset();
}

// --- generations -------------------------------------------------------------------------------

void CbtMap::start_generation()
{
	if (switch_ == Switch::Idle && renew().ok())
		return;
	COVERAGE_MARK("cbt_map: no memory for a new generation");
	damaged_.store(true, Order::Release);
}

void CbtMap::resize(u64 capacity_sectors)
{
	capacity_sectors_ = capacity_sectors;
	start_generation();
}

Result<void> CbtMap::renew()
{
	auto fresh = TRY(make_table());
	fresh->set_label({Uuid::random(), 0});
	// Before the new map is seen: a mark outside of that one must not be forgotten.
	damaged_.store(false, Order::Release);
	// Marks in flight may still go to the old map. They belong to writes before the next cut,
	// at which everything is copied.
	Own<Table> old(write_.exchange(fresh.release(), Order::AcqRel));
	shim_rcu_synchronize();
	return {};
}

// --- reading -----------------------------------------------------------------------------------

CbtMap::Info CbtMap::info() const
{
	// A take may put another map in place meanwhile and free this one.
	shim_rcu_read_lock();
	const Table *held = readable_.load(Order::Acquire);
	const Table &table = held ? *held : *write_.load(Order::Acquire);
	const Geometry &shape = table.geometry;
	const Table::Label &label = table.label();
	const Info info{u32{1} << shape.shift, shape.blocks, shape.capacity_sectors * kSectorBytes,
			label.generation_id, label.number};
	shim_rcu_read_unlock();
	return info;
}

Result<u32> CbtMap::read(u32 offset, u32 length, u8 *to) const
{
	const Table *table = readable_.load(Order::Acquire);
	if (!table)
		return Errno::Perm;
	const u32 blocks = table->geometry.blocks;
	if (offset > blocks)
		return Errno::Inval;
	const u32 count = min(length, blocks - offset);
	for (u32 i = 0; i < count; i++)
		to[i] = load_byte(table->bytes[offset + i]);
	return count;
}

} // namespace blksnap
