// SPDX-License-Identifier: GPL-2.0
//
// CbtMap: which blocks of a device changed, and since which snapshot.
#ifndef BLKSNAP_CBT_MAP_HPP
#define BLKSNAP_CBT_MAP_HPP

#include <blksnap/tracker.hpp>

#include <cstdint>
#include <vector>

namespace blksnap
{

struct CbtMap {
	TrackerInfo tracker;
	// One byte per block: 0 = unchanged in this generation, else the number of its last change.
	std::vector<std::uint8_t> blocks;

	// The map as it was at the take of the snapshot that holds the device. Throws Error, EAGAIN if
	// that was not one and the same snapshot all the time.
	static CbtMap read(const Control &control, const Device &device);

	// What to copy for who saw snapshot @number of @generation at the last backup, in rising order.
	// Throws Error with ESTALE if the map is of another generation: everything has to be copied.
	std::vector<SectorRange> changed_since(const Uuid &generation, std::uint8_t number) const;

	// The same for who has compared the generations. Throws Error with ESTALE if this one has not
	// come to @number, which then is of another; that it has does not show that they are one.
	std::vector<SectorRange> changed_since(std::uint8_t number) const;
};

} // namespace blksnap

#endif
