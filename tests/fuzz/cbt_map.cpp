// SPDX-License-Identifier: GPL-2.0
//
// Fuzz target: the change map under any sequence of marks, takes and resizes, against two arrays of bytes.
#include "input.hpp"

#include "../unit/fake_port.hpp"

#include <algorithm>
#include <blksnap/core/cbt_map.hpp>
#include <blksnap/port/lock.h>
#include <cstring>
#include <optional>

namespace
{

using namespace blksnap;
using Wide = unsigned __int128;
using Bytes = std::vector<u8>;

struct Shape {
	u64 capacity;
	u32 shift;
	u64 blocks;
};

// The smallest block size of at least the minimum with which there are not too many blocks.
Shape shape_of(u64 capacity, u32 minimum_shift, u32 maximum)
{
	for (u32 shift = minimum_shift;; shift++) {
		const u64 sectors = u64{1} << (shift - 9);
		const u64 blocks = capacity / sectors + (capacity % sectors != 0);
		if (blocks <= maximum || shift == 31)
			return {capacity, shift, blocks};
	}
}

class Checked
{
public:
	explicit Checked(fuzz::Input &input);
	void run();

private:
	template <class F> void each_block(u64 sector, u64 sectors, F &&body);
	void mark(u64 sector, u64 sectors);
	void mark_both(u64 sector, u64 sectors);
	void begin();
	void end();
	void cancel();
	void release();
	void resize();
	void renew();
	void step();
	void check();

	fuzz::Input &input_;
	const u32 minimum_shift_;
	const u32 maximum_;
	Shape shape_{};
	u64 next_capacity_ = 0; // of the next map, after a resize for which there was no memory
	Own<CbtMap> map_;
	Bytes written_;			// what marks go to
	std::optional<Bytes> readable_; // held by a snapshot
	u32 number_ = 1;
	u32 readable_number_ = 0;
	enum class Switch { None, Copying, Renewing } switch_ = Switch::None;
	bool damaged_ = false;
	Uuid generation_;
	bool same_generation_ = true; // as `generation_`; a new one is learnt from the map
};

Checked::Checked(fuzz::Input &input)
	: input_(input), minimum_shift_(9 + input.below(8)), maximum_(1 + input.below(300))
{
	next_capacity_ = 1 + input.below(20000);
	shape_ = shape_of(next_capacity_, minimum_shift_, maximum_);
	auto created = CbtMap::create(next_capacity_, minimum_shift_, maximum_);
	HOLDS(created.ok());
	map_ = created.release_value();
	written_.assign(shape_.blocks, 0);
	generation_ = map_->info().generation_id;
}

template <class F> void Checked::each_block(u64 sector, u64 sectors, F &&body)
{
	const u64 block_sectors = u64{1} << (shape_.shift - 9);
	for (u64 block = 0; block < shape_.blocks; block++) {
		const Wide begin = Wide{block} * block_sectors;
		const Wide end = std::min<Wide>(begin + block_sectors, shape_.capacity);
		if (sectors && begin < Wide{sector} + sectors && sector < end)
			body(block);
	}
}

void Checked::mark(u64 sector, u64 sectors)
{
	const bool inside = Wide{sector} + sectors <= shape_.capacity;
	shim_rcu_read_lock();
	HOLDS(map_->mark(sector, sectors) == inside);
	shim_rcu_read_unlock();
	each_block(sector, sectors, [&](u64 block) { written_[block] = static_cast<u8>(number_); });
	damaged_ |= !inside;
}

// Marks never lower what is there.
void Checked::mark_both(u64 sector, u64 sectors)
{
	HOLDS(map_->covers(sector, sectors) == (Wide{sector} + sectors <= shape_.capacity));
	map_->mark_both(sector, sectors);
	each_block(sector, sectors, [&](u64 block) {
		written_[block] = std::max(written_[block], static_cast<u8>(number_));
		if (readable_)
			(*readable_)[block] =
				std::max((*readable_)[block], static_cast<u8>(readable_number_));
	});
}

void Checked::begin()
{
	if (switch_ != Switch::None || readable_)
		return;
	const bool renews = damaged_ || number_ == 255;
	fake::fail_allocation(input_.below(8));
	const auto begun = map_->begin_switch();
	fake::fail_allocation(0);
	if (!begun.ok())
		return;
	switch_ = renews ? Switch::Renewing : Switch::Copying;
}

// What was marked until now is in the map of the cut, under its number.
void Checked::end()
{
	if (switch_ == Switch::None)
		return;
	map_->copy();
	if (input_.flag()) {
		const u64 sector = input_.telling(shape_.capacity);
		mark(sector, input_.telling(shape_.capacity));
	}
	map_->commit_switch();
	map_->finish_switch();
	if (switch_ == Switch::Copying) {
		readable_ = written_;
		readable_number_ = number_++;
		same_generation_ &= !damaged_;
	} else {
		shape_ = shape_of(next_capacity_, minimum_shift_, maximum_);
		written_.assign(shape_.blocks, 0);
		readable_ = written_;
		readable_number_ = 1;
		number_ = 2;
		damaged_ = false;
		same_generation_ = false;
	}
	switch_ = Switch::None;
}

void Checked::cancel()
{
	if (switch_ == Switch::None)
		return;
	if (input_.flag())
		map_->copy();
	map_->cancel_switch();
	switch_ = Switch::None;
}

void Checked::release()
{
	map_->release_readable();
	readable_.reset();
}

// Only while nothing is held: the map of a snapshot keeps its size.
void Checked::resize()
{
	if (switch_ != Switch::None || readable_)
		return;
	next_capacity_ = 1 + input_.below(20000);
	const u32 nth = input_.below(4);
	fake::fail_allocation(nth);
	map_->resize(next_capacity_);
	const bool failed = nth && !fake::fault_is_armed();
	fake::fail_allocation(0);
	damaged_ = failed;
	if (failed)
		return;
	shape_ = shape_of(next_capacity_, minimum_shift_, maximum_);
	written_.assign(shape_.blocks, 0);
	number_ = 1;
	same_generation_ = false;
}

void Checked::renew()
{
	if (switch_ != Switch::None || readable_)
		return;
	map_->start_generation();
	shape_ = shape_of(next_capacity_, minimum_shift_, maximum_);
	written_.assign(shape_.blocks, 0);
	number_ = 1;
	damaged_ = false;
	same_generation_ = false;
}

void Checked::check()
{
	const auto info = map_->info();
	HOLDS(info.capacity_bytes == shape_.capacity * 512);
	HOLDS(info.blocks == shape_.blocks && info.block_bytes == 1u << shape_.shift);
	if (switch_ == Switch::None) {
		HOLDS((info.generation_id == generation_) == same_generation_);
		generation_ = info.generation_id;
		same_generation_ = true;
	}
	HOLDS(info.snap_number == (readable_ ? readable_number_ : number_ - 1));

	const u64 wanted_at = input_.telling(shape_.blocks);
	const auto offset = static_cast<u32>(wanted_at);
	const auto length = static_cast<u32>(input_.telling(shape_.blocks));
	std::vector<u8> bytes(shape_.blocks);
	auto piece = map_->read(offset, length, bytes.data());
	if (!readable_) {
		HOLDS(!piece.ok() && piece.error() == Errno::Perm);
		return;
	}
	HOLDS(piece.ok() == (offset <= shape_.blocks));
	if (!piece.ok())
		return;
	HOLDS(piece.value() == std::min<u64>(length, shape_.blocks - offset));
	HOLDS(!std::memcmp(bytes.data(), readable_->data() + offset, piece.value()));
	auto all = map_->read(0, ~u32{0}, bytes.data());
	HOLDS(all.ok() && all.value() == readable_->size());
	HOLDS(!std::memcmp(bytes.data(), readable_->data(), readable_->size()));
}

void Checked::step()
{
	const u32 what = input_.below(16);
	if (what < 6) {
		const u64 sector = input_.telling(shape_.capacity);
		mark(sector, input_.telling(shape_.capacity));
		return;
	}
	if (what < 8) {
		const u64 sector = input_.telling(shape_.capacity);
		mark_both(sector, input_.telling(shape_.capacity));
		return;
	}
	switch (what) {
	case 8:
	case 9:
		return begin();
	case 10:
	case 11:
		return end();
	case 12:
		return cancel();
	case 13:
		return release();
	case 14:
		return resize();
	default:
		if (input_.flag())
			return renew();
		for (u32 i = input_.byte(); i > 0; i--) { // until the numbers are used up
			release();
			begin();
			end();
		}
	}
}

void Checked::run()
{
	for (u32 steps = 0; steps < 200 && !input_.empty(); steps++) {
		step();
		check();
	}
	cancel();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
	const long before = fake::live_allocations();
	{
		fuzz::Input input(data, size);
		Checked(input).run();
	}
	HOLDS(fake::live_allocations() == before);
	return 0;
}
