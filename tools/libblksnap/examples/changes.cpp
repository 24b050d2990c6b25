// SPDX-License-Identifier: GPL-2.0
//
// What to copy of a snapshotted device for a backup that knows generation and number of the last.
//
//   changes /dev/sda1 01234567-89ab-4def-8123-456789abcdef 3
#include <blksnap/cbt_map.hpp>
#include <blksnap/error.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace
{

// Numbers compare only within one generation. After another one began, nothing is known.
std::vector<blksnap::SectorRange>
to_copy(const blksnap::CbtMap &map, const blksnap::Uuid &last_generation, std::uint8_t last_number)
try {
	return map.changed_since(last_generation, last_number);
} catch (const blksnap::Error &error) {
	if (error.code() != ESTALE)
		throw;
	return {{0, map.tracker.capacity_bytes / blksnap::kSectorSizeBytes}};
}

void print_changes(const char *argument, const char *generation, const char *number)
{
	const auto device = blksnap::resolve_device(argument);
	const auto map = blksnap::CbtMap::read(blksnap::Control::open(), device);
	const auto ranges = to_copy(map, blksnap::Uuid::parse(generation),
				    static_cast<std::uint8_t>(std::atoi(number)));

	for (const auto &range : ranges)
		std::printf("%s\n", range.to_string().c_str());
	std::printf("%llu sectors; remember number %u of generation %s\n",
		    static_cast<unsigned long long>(blksnap::total_sectors(ranges)),
		    unsigned{map.tracker.snapshot_number},
		    map.tracker.generation.to_string().c_str());
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 4) {
		std::fprintf(stderr, "usage: changes DEVICE GENERATION NUMBER\n");
		return 1;
	}
	try {
		print_changes(argv[1], argv[2], argv[3]);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "changes: %s\n", error.what());
		return 1;
	}
}
