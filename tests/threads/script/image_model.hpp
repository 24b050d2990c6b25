// SPDX-License-Identifier: GPL-2.0
//
// ImageModel: what an image may show. Each sector a version between the last that was completed before the
// take began and the last that was submitted before it ended, and always the same.
#pragma once

#include <memory>
#include <script/record.hpp>
#include <script/script.hpp>

namespace threads
{

struct ImageModel {
	// Sectors from here on are written to by users of the image; the last sector is not.
	static constexpr u64 kScratch = kOriginSectors - 65;

	ImageModel(u32 origin, std::shared_ptr<Device> image, std::vector<u64> least,
		   std::vector<u64> most, const Stop &may_fail);

	// What the take tells nothing about.
	static bool is_free(u64 sector)
	{
		return (sector >= kScratch && sector < kTurnSector) || is_spare(sector);
	}
	// A read of `sectors` from `sector` on, as a chain of `parts`. False: the image is gone or lost, as
	// it may be.
	bool read(u64 sector, u32 sectors, u32 parts);
	// By one thread only: writes to a part of the scratch sectors and reads that back.
	bool write();

	const u32 origin;
	// Zero where nobody has looked yet.
	std::unique_ptr<std::atomic<u64>[]> seen;

private:
	bool check_error(int error, u64 sector) const;
	void check(u64 sector, u64 stamp);

	const std::shared_ptr<Device> image_;
	const std::vector<u64> least_;
	const std::vector<u64> most_;
	const Stop &may_fail_;
};

// Reads at random until the image is gone or the flag is set.
void run_reader(ImageModel &model, Stop &stop, bool writes);

} // namespace threads
