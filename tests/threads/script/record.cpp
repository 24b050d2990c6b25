// SPDX-License-Identifier: GPL-2.0
#include <script/record.hpp>

namespace threads
{

namespace
{
Cell cells[kOrigins][kOriginSectors];
}

Cell &cell(u32 origin, u64 sector)
{
	return cells[origin][sector];
}

std::vector<u64> versions(u32 origin, bool completed)
{
	std::vector<u64> versions(kOriginSectors);
	for (u64 i = 0; i < kOriginSectors; i++)
		versions[i] = (completed ? cells[origin][i].completed : cells[origin][i].submitted)
				      .load(std::memory_order_relaxed);
	return versions;
}

void check_origins()
{
	for (u32 origin = 0; origin < kOrigins; origin++) {
		for (u64 i = 0; i < kOriginSectors; i++) {
			if (is_spare(i))
				continue;
			const u64 stamp = disk(origin).media[i].load(std::memory_order_relaxed);
			const u64 version = version_of(stamp);
			if (stamp != make_stamp(origin, i, version) ||
			    version < cells[origin][i].completed ||
			    version > cells[origin][i].submitted)
				fail("origin %u sector %llu holds %llx, not what was written last "
				     "(%llu)",
				     origin, static_cast<unsigned long long>(i),
				     static_cast<unsigned long long>(stamp),
				     static_cast<unsigned long long>(cells[origin][i].completed));
		}
	}
}

} // namespace threads
