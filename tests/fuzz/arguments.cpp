// SPDX-License-Identifier: GPL-2.0
//
// Fuzz target: what people type: numbers of devices, ids, ranges, and whole command lines against a fake
// module. Nothing of the machine is touched: devices are numbers here, and there are no files.
#include "input.hpp"

#include "../tools/fake_module.hpp"

#include "blksnap/command.hpp"

#include <blksnap/device.hpp>
#include <blksnap/error.hpp>
#include <blksnap/sector_range.hpp>
#include <blksnap/uuid.hpp>

#include <algorithm>
#include <cctype>
#include <optional>
#include <sstream>

namespace
{

using namespace blksnap;
using Wide = unsigned __int128;

// Digits only, and not more than fits.
std::optional<Wide> number_in(const std::string &text, Wide limit)
{
	Wide value = 0;
	for (const char digit : text) {
		if (digit < '0' || digit > '9')
			return std::nullopt;
		value = value * 10 + static_cast<unsigned>(digit - '0');
		if (value > limit)
			return std::nullopt;
	}
	return text.empty() ? std::nullopt : std::optional<Wide>(value);
}

struct Pair {
	Wide first, second;
};

std::optional<Pair> pair_in(const std::string &text, Wide limit)
{
	const auto colon = text.find(':');
	if (colon == std::string::npos)
		return std::nullopt;
	const auto first = number_in(text.substr(0, colon), limit);
	const auto second = number_in(text.substr(colon + 1), limit);
	return first && second ? std::optional<Pair>({*first, *second}) : std::nullopt;
}

void check_device(const std::string &text)
{
	const auto id = DeviceId::try_parse(text);
	const auto expected = pair_in(text, ~std::uint32_t{0});
	HOLDS(id.has_value() == expected.has_value());
	if (!id)
		return;
	HOLDS(id->major == expected->first && id->minor == expected->second);
	HOLDS(DeviceId::try_parse(id->to_string()) == *id);
}

template <class T> std::optional<T> parse(const std::string &text)
{
	try {
		return T::parse(text);
	} catch (const Error &error) {
		HOLDS(*error.what());
		return std::nullopt;
	}
}

void check_range(const std::string &text)
{
	const auto range = parse<SectorRange>(text);
	const auto expected = pair_in(text, ~std::uint64_t{0});
	const bool good = expected && expected->first + expected->second <= ~std::uint64_t{0};
	HOLDS(range.has_value() == good);
	if (!range)
		return;
	HOLDS(range->offset_sectors == expected->first);
	HOLDS(range->count_sectors == expected->second);
	HOLDS(parse<SectorRange>(range->to_string()) == range);
}

bool is_uuid(const std::string &text)
{
	if (text.size() != 36)
		return false;
	for (std::size_t i = 0; i < text.size(); i++) {
		const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		const auto digit = static_cast<unsigned char>(text[i]);
		if (dash ? digit != '-' : !std::isxdigit(digit))
			return false;
	}
	return true;
}

void check_uuid(std::string text)
{
	const auto uuid = parse<Uuid>(text);
	HOLDS(uuid.has_value() == is_uuid(text));
	if (!uuid)
		return;
	std::transform(text.begin(), text.end(), text.begin(),
		       [](unsigned char letter) { return std::tolower(letter); });
	HOLDS(uuid->to_string() == text);
}

// --- the command -------------------------------------------------------------------------------

std::vector<std::string> split(const std::string &text)
{
	std::vector<std::string> words;
	std::istringstream lines(text);
	for (std::string line; std::getline(lines, line);)
		words.push_back(line);
	return words;
}

// Commands that write files are left out (tracker_readcbtmap, stretch_snapshot), and whatever may be the name of
// something: a path, or a tag, for which blkid looks at the disks of the machine.
bool is_harmless(const std::vector<std::string> &words)
{
	static constexpr const char *kCommands[] = {
		"version",
		"tracker_remove",
		"tracker_collect",
		"tracker_readcbtranges",
		"tracker_markdirtyblock",
		"snapshot_create",
		"snapshot_destroy",
		"snapshot_appendstorage",
		"snapshot_take",
		"snapshot_waitevent",
		"snapshot_collect",
		"--help",
		"--version",
	};
	if (words.empty() ||
	    std::find(std::begin(kCommands), std::end(kCommands), words[0]) == std::end(kCommands))
		return false;
	return std::all_of(words.begin(), words.end(), [](const std::string &word) {
		return word.find('/') == std::string::npos &&
		       word.find("UUID=") == std::string::npos &&
		       word.find("LABEL=") == std::string::npos &&
		       word.find('\0') == std::string::npos;
	});
}

void prepare(test::FakeModule &module)
{
	for (const auto minor : {1u, 2u}) {
		blk_snap_cbt_info info{};
		info.dev_id = {8, minor};
		info.blk_size = 65536;
		info.device_capacity = 4 * 65536 - 512;
		info.blk_count = 4;
		info.snap_number = 3;
		module.trackers.push_back(info);
	}
	module.cbt_map = {0, 2, 3, 1};
	module.add_snapshot(1, 2);
	// Who waits waits once, and not at all.
	blk_snap_snapshot_event event{};
	event.code = blk_snap_event_code_low_free_space;
	module.events.push_back(event);
}

// The answer is on stdout and the exit status 0, or one line on stderr and 1.
void check_command(const std::vector<std::string> &words)
{
	test::FakeModule module;
	std::ostringstream out, err;
	prepare(module);
	command::Environment environment{
		.open_control = [&] { return module.control(); }, .out = out, .err = err};
	const int status = command::run(words, environment);
	HOLDS(status == 0 || status == 1);
	if (status == 0) {
		HOLDS(err.str().empty());
	} else {
		HOLDS(err.str().starts_with("blksnap: ") && err.str().ends_with("\n"));
		HOLDS(out.str().empty());
		HOLDS(module.marked.empty() && module.removed.empty());
	}
	for (const auto &range : module.marked)
		HOLDS(Wide{range.sector_offset} + range.sector_count <= ~std::uint64_t{0});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
	fuzz::Input input(data, size);
	const auto text = input.rest();
	check_device(text);
	check_range(text);
	check_uuid(text);
	const auto words = split(text);
	if (is_harmless(words))
		check_command(words);
	return 0;
}
