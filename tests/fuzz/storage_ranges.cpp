// SPDX-License-Identifier: GPL-2.0
//
// Fuzz target: the ranges of diff storage, as programs give them, against a list of them.
#include "input.hpp"

#include "../unit/fake_port.hpp"
#include "../unit/storage_fixture.hpp"

namespace
{

using namespace blksnap;
using Wide = unsigned __int128;

struct Given {
	StorageRanges::Device device;
	u64 sector;
	u64 sectors;
	u64 first_unit;
	u64 units;
	u64 unit_sector;
};

// What is accepted, by the words of the header.
bool is_inside(const StorageRanges::Device &device, u64 sector, u64 sectors)
{
	const Wide end = Wide{sector} + sectors;
	return sectors && end <= device.sectors && device.start_sector + end <= ~u64{0};
}

bool meet(const Given &a, const Given &b)
{
	if (a.device.disk_key != b.device.disk_key)
		return false;
	const Wide from = a.device.start_sector + Wide{a.sector};
	const Wide other = b.device.start_sector + Wide{b.sector};
	return from < other + b.sectors && other < from + a.sectors;
}

// Whole units in whole blocks of the device, counted one after the other.
void cut(Given &given)
{
	const u64 grain = max(given.device.block_bytes, 4096u) / 512;
	const Wide first = (Wide{given.sector} + grain - 1) / grain * grain;
	const Wide end = (Wide{given.sector} + given.sectors) / grain * grain;
	given.unit_sector = static_cast<u64>(first);
	given.units = end > first ? static_cast<u64>((end - first) / 8) : 0;
}

class Checked
{
public:
	explicit Checked(fuzz::Input &input) : input_(input) {}
	void run();

private:
	StorageRanges::Device device();
	bool add(StorageRanges::Batch &batch, std::vector<Given> &all);
	void append();
	void check_unit(u64 unit) const;
	void check_overlap(u64 key, u64 sector, u64 sectors) const;
	void check() const;

	fuzz::Input &input_;
	Storage ranges_;
	std::vector<Given> given_;
	u64 units_ = 0;
};

StorageRanges::Device Checked::device()
{
	StorageRanges::Device device;
	device.bdev = named_bdev(input_.byte());
	device.disk_key = input_.below(3);
	device.start_sector = input_.telling(4096);
	device.sectors = input_.telling(8192);
	device.block_bytes = 512u << input_.below(6);
	return device;
}

// False: it was refused, and what it should be.
bool Checked::add(StorageRanges::Batch &batch, std::vector<Given> &all)
{
	Given given{device(), input_.telling(8192), input_.telling(64), 0, 0, 0};
	u64 units = 0;
	for (const Given &one : all)
		units += one.units;
	cut(given);
	given.first_unit = units;
	const bool good = is_inside(given.device, given.sector, given.sectors) &&
			  units + given.units <= ~u32{0} && given.units <= ~u32{0};
	const auto result = batch.add(given.device, given.sector, given.sectors);
	HOLDS(result.ok() == good);
	HOLDS(good || result.error() == Errno::Inval);
	if (good)
		all.push_back(given);
	return good;
}

// All or nothing.
void Checked::append()
{
	std::vector<Given> all = given_;
	const u32 count = input_.below(8);
	auto created = StorageRanges::Batch::create(ranges_, input_.below(8));
	HOLDS(created.ok());
	auto batch = created.release_value();
	for (u32 i = 0; i < count; i++)
		if (!add(batch, all))
			return;
	bool overlap = false;
	for (std::size_t i = 0; i < all.size(); i++)
		for (std::size_t j = 0; j < i; j++)
			overlap |= meet(all[i], all[j]);
	const auto sealed = batch.seal();
	HOLDS(sealed.ok() == !overlap);
	if (overlap)
		return;
	u64 units = 0;
	for (const Given &one : all)
		units += one.units;
	HOLDS(batch.added_units() == units - units_);
	HOLDS(ranges_.commit(batch).ok());
	given_ = std::move(all);
	units_ = units;
}

void Checked::check_unit(u64 unit) const
{
	if (unit >= units_)
		return;
	const auto place = ranges_.locate(static_cast<u32>(unit));
	for (const Given &one : given_) {
		if (unit < one.first_unit || unit - one.first_unit >= one.units)
			continue;
		const u64 skipped = unit - one.first_unit;
		HOLDS(place.bdev == one.device.bdev);
		HOLDS(place.sector == one.unit_sector + skipped * 8);
		HOLDS(place.units == one.units - skipped);
		// Nothing is ever written outside of what was given.
		HOLDS(place.sector >= one.sector);
		HOLDS(Wide{place.sector} + Wide{place.units} * 8 <= Wide{one.sector} + one.sectors);
		return;
	}
	HOLDS(!"a unit of no range");
}

void Checked::check_overlap(u64 key, u64 sector, u64 sectors) const
{
	if (sector + sectors < sector)
		return;
	u64 first = ~u64{0}, end = 0;
	for (const Given &one : given_) {
		if (one.device.disk_key != key)
			continue;
		const u64 begin = one.device.start_sector + one.sector;
		const u64 from = max(begin, sector);
		const u64 to = min(begin + one.sectors, sector + sectors);
		if (from < to && from < first) {
			first = from;
			end = to;
		}
	}
	const auto span = ranges_.first_overlap(key, sector, sectors);
	HOLDS(ranges_.overlaps(key, sector, sectors) == (end != 0));
	HOLDS(end ? span.sector == first && span.sectors == end - first : span.sectors == 0);
}

void Checked::check() const
{
	HOLDS(ranges_.total_units() == units_);
	HOLDS(ranges_.size() == given_.size());
	for (const Given &one : given_) {
		const u64 begin = one.device.start_sector + one.sector;
		for (const u64 unit :
		     {one.first_unit, one.first_unit + 1, one.first_unit + one.units / 2,
		      one.first_unit + one.units - 1, one.first_unit + one.units})
			check_unit(unit);
		for (const u64 sector :
		     {begin - 1, begin, begin + 1, begin + one.sectors - 1, begin + one.sectors})
			for (const u64 sectors :
			     {u64{0}, u64{1}, u64{2}, one.sectors, u64{1} << 40})
				check_overlap(one.device.disk_key, sector, sectors);
	}
}

void Checked::run()
{
	for (u32 round = 0; round < 6 && !input_.empty(); round++) {
		append();
		check();
	}
	check_unit(input_.telling(units_));
	const u64 sector = input_.telling(4096);
	check_overlap(input_.below(4), sector, input_.telling(64));
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
