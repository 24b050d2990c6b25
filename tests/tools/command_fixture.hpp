// SPDX-License-Identifier: GPL-2.0
//
// CommandTest: the command with a fake module, its output and its errors.
#ifndef BLKSNAP_COMMAND_FIXTURE_HPP
#define BLKSNAP_COMMAND_FIXTURE_HPP

#include "fake_module.hpp"

#include "blksnap/command.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <sstream>

namespace blksnap
{

constexpr const char *kId = "00000000-0000-0000-0000-000000000001";

class CommandTest : public testing::Test
{
protected:
	int run(std::vector<std::string> arguments)
	{
		out_.str("");
		err_.str("");
		command::Environment environment{
			.open_control = [this] { return module_.control(); },
			.out = out_,
			.err = err_,
			.patience = patience_};
		return command::run(std::move(arguments), environment);
	}

	std::string output(std::vector<std::string> arguments)
	{
		EXPECT_EQ(run(std::move(arguments)), 0) << err_.str();
		EXPECT_EQ(err_.str(), "");
		return out_.str();
	}

	std::string error(std::vector<std::string> arguments)
	{
		EXPECT_EQ(run(std::move(arguments)), 1);
		EXPECT_EQ(out_.str(), "");
		return err_.str();
	}

	void add_tracker()
	{
		blk_snap_cbt_info info{};
		info.dev_id = {4095, 1};
		info.blk_size = 65536;
		info.device_capacity = 4 * 65536;
		info.blk_count = 4;
		info.generation_id.b[0] = 0xab;
		info.snap_number = 200;
		module_.trackers.push_back(info);
		module_.cbt_map = {0, 200, 199, 0};
	}

	template <typename T> void add_event(std::uint32_t code, const T &data)
	{
		blk_snap_snapshot_event event{};
		event.code = code;
		event.time_label = 123456789;
		std::memcpy(event.data, &data, sizeof(data));
		module_.events.push_back(event);
	}

	test::FakeModule module_;
	std::ostringstream out_;
	std::ostringstream err_;
	std::chrono::milliseconds patience_{10'000};
};

} // namespace blksnap

#endif
