// SPDX-License-Identifier: GPL-2.0
//
// What tests do, the right and the wrong: an area for the framework's own test, see run. The module
// and the devices are left out: their parts of the framework are replaced here.
#include "kselftest.hpp"

#include "file.hpp"
#include "leftovers.hpp"
#include "module.hpp"
#include "process.hpp"
#include "scratch.hpp"

#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace kselftest
{

std::string module::make_ready()
{
	const char *reason = std::getenv("SELFTEST_NOT_READY");

	return reason ? reason : "";
}

std::vector<std::string> remove_leftovers()
{
	return unlink((scratch_directory() + "/left").c_str()) ? std::vector<std::string>{}
							       : std::vector<std::string>{"a file"};
}

} // namespace kselftest

using namespace kselftest;

TEST(passes)
{
	EXPECT(true);
	EXPECT_EQ(1u, 1);
	EXPECT_ERRNO(EIO, EIO);
}

TEST(fails_and_goes_on)
{
	EXPECT_EQ(1, 2);
	note("went on");
}

TEST(fails_and_ends)
{
	REQUIRE(2 < 1);
	note("went on");
}

TEST(sees_another_errno)
{
	EXPECT_ERRNO(EIO, 0);
}

TEST(compares_values_not_bits)
{
	EXPECT_EQ(-1, ~0u);
}

TEST(throws)
{
	throw std::runtime_error("some words");
}

TEST(crashes)
{
	std::abort();
}

TEST(hangs, .timeout_seconds = 1)
{
	for (;;)
		pause();
}

TEST(ends_early)
{
	_exit(2);
}

TEST(skips)
{
	skip("for a reason");
}

TEST(fails_and_skips)
{
	EXPECT(false);
	skip("for a reason");
}

TEST(fails_in_a_child)
{
	Child child([] {
		EXPECT(false);
		return 0;
	});
	EXPECT_EQ(child.wait(), 0);
}

TEST(fails_in_a_thread)
{
	std::thread([] { EXPECT(false); }).join();
}

TEST(leaves_something)
{
	std::ofstream(scratch_directory() + "/left") << "x";
}
