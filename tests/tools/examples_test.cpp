// SPDX-License-Identifier: GPL-2.0
//
// The examples of the library, run as they are, against the fake module behind the node's path.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <unistd.h>

namespace
{

const std::string kBuild = BLKSNAP_BUILD_DIRECTORY;

struct Outcome {
	std::string text; // stdout and stderr
	int status = -1;
};

Outcome run(const std::string &environment, const std::string &command)
{
	const std::string line = environment + " LD_LIBRARY_PATH=" + kBuild + "/lib " + kBuild +
				 "/examples/" + command + " 2>&1 </dev/null";
	Outcome outcome;
	auto *const pipe = popen(line.c_str(), "r");
	char part[512];
	while (pipe && std::fgets(part, sizeof(part), pipe))
		outcome.text += part;
	outcome.status = pipe ? pclose(pipe) : -1;
	return outcome;
}

std::string output(const std::string &command, const std::string &environment = "")
{
	const auto outcome =
		run(environment + " LD_PRELOAD=" + kBuild + "/tools/fake-node.so", command);
	EXPECT_EQ(outcome.status, 0) << outcome.text;
	return outcome.text;
}

std::string contents(const std::string &path)
{
	std::ifstream file{path};
	return {std::istreambuf_iterator<char>{file}, {}};
}

// The output of one that waits for Enter, which it gets when it has said @line. An event arrives
// whenever it does: its line is taken out, the others must be in order.
std::string output_without(const std::string &line, const std::string &command)
{
	const auto path = kBuild + "/tools/example." + std::to_string(getpid());
	const auto program = "LD_LIBRARY_PATH=" + kBuild + "/lib LD_PRELOAD=" + kBuild +
			     "/tools/fake-node.so exec " + kBuild + "/examples/" + command + " >" +
			     path;
	auto *const pipe = popen(program.c_str(), "w");
	if (!pipe)
		return "cannot run";
	const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
	auto at = std::string::npos;
	while (at == std::string::npos && std::chrono::steady_clock::now() < deadline) {
		std::this_thread::sleep_for(std::chrono::milliseconds{10});
		at = contents(path).find(line + "\n");
	}
	EXPECT_EQ(pclose(pipe), 0);
	auto text = contents(path);
	std::filesystem::remove(path);
	EXPECT_NE(at, std::string::npos) << text;
	return at == std::string::npos ? text : text.erase(at, line.size() + 1);
}

} // namespace

TEST(examples, session)
{
	EXPECT_EQ(output_without("storage for 2097152 sectors is wanted",
				 "session 4095:1 4095:2 0:2048"),
		  "/dev/blksnap-image0 shows 4095:1; press Enter to end\n");
}

TEST(examples, trackers)
{
	EXPECT_EQ(output("trackers"), "4095:1: 8 blocks of 65536 bytes, number 2 of generation "
				      "ab000000-0000-0000-0000-000000000000\n");
	EXPECT_EQ(output("trackers 4095:1 8:16"), "8:16 of 4095:1 will be copied\n");
	EXPECT_EQ(output("trackers 4095:7 8:16"),
		  "4095:7 is not tracked: all of it will be copied\n");
}

TEST(examples, changes)
{
	const std::string generation = "ab000000-0000-0000-0000-000000000000";
	const std::string remember = " sectors; remember number 2 of generation " + generation;
	EXPECT_EQ(output("changes 4095:1 " + generation + " 0"),
		  "128:256\n640:128\n384" + remember + "\n");
	EXPECT_EQ(output("changes 4095:1 " + generation + " 1"), "640:128\n128" + remember + "\n");
	EXPECT_EQ(output("changes 4095:1 00000000-0000-0000-0000-000000000000 1"),
		  "0:1024\n1024" + remember + "\n");
	EXPECT_EQ(output("changes 4095:1 " + generation + " 3"), "0:1024\n1024" + remember + "\n");
}

TEST(examples, images)
{
	const auto directory =
		std::filesystem::current_path() / kBuild / ("images-" + std::to_string(getpid()));
	std::filesystem::create_directory(directory);
	std::ofstream{directory / "image"} << std::string(3 << 20, 'x') << "end";
	const auto text =
		output("images 00000000-0000-0000-0000-000000000001 " + directory.string(),
		       "BLKSNAP_FAKE_IMAGE=" + (directory / "image").string());
	const auto bytes = contents(directory / "8:1");
	std::filesystem::remove_all(directory);
	EXPECT_TRUE(text.starts_with((directory / "8:1").string() + ": ")) << text;
	EXPECT_EQ(bytes, std::string(3 << 20, 'x') + "end");
}

TEST(examples, c_api)
{
	EXPECT_EQ(output_without("4095:1: storage for 2097152 sectors is wanted",
				 "c_api 4095:1 4095:2 0 2048"),
		  "tracked: 4095:1, number 2\nchanged: 128:256\nchanged: 640:128\n"
		  "remember: number 2 of generation ab000000-0000-0000-0000-000000000000\n"
		  "snapshot 00000000-0000-0000-0000-000000000002: image /dev/blksnap-image0\n");
}

TEST(examples, end_with_an_error_that_says_what_to_do)
{
	for (const auto *command :
	     {"session 4095:1 /nonesuch 0:8", "trackers /nonesuch 0:8",
	      "changes /nonesuch 00000000-0000-0000-0000-000000000000 0",
	      "images 00000000-0000-0000-0000-000000000007 /tmp", "c_api 4095:1 /nonesuch 0 8"}) {
		const auto outcome = run("LD_PRELOAD=" + kBuild + "/tools/fake-node.so", command);
		EXPECT_NE(outcome.status, 0) << command;
		EXPECT_NE(outcome.text.find(": cannot "), std::string::npos) << outcome.text;
		EXPECT_NE(outcome.text.find("; "), std::string::npos) << outcome.text;
	}
}

TEST(examples, say_that_the_module_is_missing)
{
	if (std::filesystem::exists("/dev/blksnap"))
		GTEST_SKIP() << "the module is loaded";
	for (const auto *command :
	     {"session 4095:1 4095:2 0:8", "trackers", "c_api 4095:1 4095:2 0 8"}) {
		const auto outcome = run("", command);
		EXPECT_NE(outcome.status, 0) << command;
		EXPECT_NE(outcome.text.find("cannot open /dev/blksnap: No such file or directory; "
					    "load the module with modprobe blksnap"),
			  std::string::npos)
			<< outcome.text;
	}
}
