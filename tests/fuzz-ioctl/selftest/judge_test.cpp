// SPDX-License-Identifier: GPL-2.0
//
// The judge, judged: answers that are right pass, and each planted mistake is seen. No kernel is asked.
//
//   judge-test uapi.rst    also compares the errnos that requests may give with those of the document
#include "../call.hpp"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <string>

namespace
{

constexpr std::size_t kArgument = 64, kArray = 4 * Arena::kPage;

unsigned failures = 0;

void tell(bool good, const std::string &name, const char *wrong = nullptr)
{
	failures += !good;
	std::printf("%s - %s%s%s\n", good ? "ok" : "not ok", name.c_str(), wrong ? ": " : "",
		    wrong ? wrong : "");
}

// One call with an argument and, if it has one, an array with room for four; and what a kernel does with them.
struct Scene {
	explicit Scene(unsigned request, Abi abi = Abi::Native)
	{
		world.origins.push_back({"/dev/some", {7, 1}, 1000});
		world.image_major = 252;
		call.request = request;
		call.abi = abi;
		call.command = call.layout().command;
		call.argument = arena.address(kArgument);
		put(call.layout().count, std::uint32_t{4});
		if (abi == Abi::Native)
			put(call.layout().pointer, arena.address(kArray));
		else
			put(call.layout().pointer,
			    static_cast<std::uint32_t>(arena.address(kArray)));
	}
	template <class T> void put(int field, const T &value)
	{
		if (field != kAbsent)
			arena.put(kArgument + static_cast<std::size_t>(field), &value,
				  sizeof(value));
	}
	template <class T> void write(std::size_t at, const T &value)
	{
		memcpy(arena.racy(at), &value, sizeof(value));
	}
	template <class T> void answer(int field, const T &value)
	{
		write(kArgument + static_cast<std::size_t>(field), value);
	}
	// As all requests with an array answer that there are `count`.
	void answer_count(std::uint32_t count)
	{
		answer(call.layout().count, count);
		if (call.abi == Abi::Native)
			answer(call.layout().count + 4, std::uint32_t{0});
	}
	const char *judge_it(int result)
	{
		std::size_t where = 0;
		return judge(call, result, world, arena, where);
	}

	World world;
	Arena arena;
	Call call;
};

void passes(const char *name, Scene &scene, int result)
{
	const char *wrong = scene.judge_it(result);
	tell(!wrong, name, wrong);
}

void is_seen(const char *name, Scene &scene, int result)
{
	tell(scene.judge_it(result), name);
}

blk_snap_uuid some_uuid()
{
	blk_snap_uuid id{};
	id.b[6] = 0x40;
	id.b[8] = 0x80;
	return id;
}

blk_snap_cbt_info some_tracker()
{
	blk_snap_cbt_info info;
	memset(&info, 0, sizeof(info));
	info.dev_id = {7, 1};
	info.device_capacity = 512000;
	info.blk_size = 65536;
	info.blk_count = 8;
	info.generation_id = some_uuid();
	info.snap_number = 3;
	return info;
}

// --- right and wrong answers -------------------------------------------------------------------

void judge_trackers()
{
	const auto listed = [](const std::function<void(blk_snap_cbt_info &)> &spoil) {
		auto scene = std::make_unique<Scene>(kTrackerCollect);
		blk_snap_cbt_info info = some_tracker();
		spoil(info);
		scene->answer_count(1);
		scene->write(kArray, info);
		return scene;
	};
	const auto fine = [](blk_snap_cbt_info &) {};
	passes("a list of trackers passes", *listed(fine), 0);
	is_seen("another size is seen", *listed([](auto &info) { info.device_capacity++; }), 0);
	is_seen("a device that nobody gave is seen", *listed([](auto &info) { info.dev_id.mn++; }),
		0);
	is_seen("what the memory held in a hole is seen", *listed([](auto &info) {
			reinterpret_cast<unsigned char *>(&info)[sizeof(info) - 1] = Arena::kPoison;
		}),
		0);
	auto scene = listed(fine);
	scene->answer(scene->call.layout().count + 4, std::uint32_t{0x80000000});
	is_seen("a hole of the argument is seen", *scene, 0);
	scene = listed(fine);
	scene->answer_count(2);
	is_seen("an element that was not written is seen", *scene, 0);
	scene = listed(fine);
	scene->write(kArray + sizeof(blk_snap_cbt_info), '!');
	is_seen("a byte behind the last element is seen", *scene, 0);
	scene = listed(fine);
	is_seen("an array that was written though it was too small is seen", *scene, -ENOBUFS);
	is_seen("a positive result is seen", *scene, 1);
}

void judge_others()
{
	Scene version(kVersion);
	version.write(kArgument + sizeof(blk_snap_version), '!');
	is_seen("a byte behind the argument is seen", version, 0);

	Scene create(kCreate, Abi::Compat);
	create.answer(create.call.layout().id, some_uuid());
	passes("a new snapshot passes", create, 0);
	is_seen("an argument that was written though nothing was made is seen", create, -EBUSY);
	create.answer(create.call.layout().id, blk_snap_uuid{});
	is_seen("an identifier that is none is seen", create, 0);

	Scene images(kCollectImages);
	images.answer_count(1);
	images.write(kArray, blk_snap_image_info{{7, 1}, {252, 0}});
	passes("a list of images passes", images, 0);
	images.write(kArray, blk_snap_image_info{{7, 1}, {251, 0}});
	is_seen("the number of another device as an image is seen", images, 0);

	Scene remove(kTrackerRemove);
	remove.write(kArgument, '!');
	is_seen("a changed argument of pure input is seen", remove, 0);

	Scene unknown(kVersion);
	unknown.call.request = kRequests;
	passes("an unknown request that is refused passes", unknown, -ENOTTY);
	is_seen("an unknown request that succeeds is seen", unknown, 0);
}

void judge_maps()
{
	Scene read(kReadCbtMap);
	const unsigned char map[] = {0, 3, 1};
	read.write(kArray, map);
	read.call.largest_number = 3;
	passes("a map passes", read, 3);
	is_seen("a map that was written though the request failed is seen", read, -EINVAL);
	is_seen("a byte more than was told is seen", read, 2);
	is_seen("more than asked for is seen", read, 5);
	read.write(kArray, '\4');
	is_seen("a number that no snapshot had is seen", read, 3);
}

void judge_events()
{
	Scene wait(kWaitEvent);
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	blk_snap_snapshot_event event{};
	memcpy(&event, wait.arena.at(kArgument), offsetof(blk_snap_snapshot_event, code));
	event.code = blk_snap_event_code_corrupted;
	event.time_label = std::int64_t{now.tv_sec} * 1000000000;
	const blk_snap_event_corrupted loss{{7, 1}, EIO};
	memcpy(event.data, &loss, sizeof(loss));
	const auto judged = [&](const blk_snap_snapshot_event &answer, int result) {
		wait.write(kArgument, answer);
		return wait.judge_it(result);
	};
	const char *wrong = judged(event, 0);
	tell(!wrong, "an event passes", wrong);
	tell(judged(event, -ENOENT), "an answer without an event is seen");
	blk_snap_snapshot_event spoilt = event;
	spoilt.data[sizeof(loss)] = 1;
	tell(judged(spoilt, 0), "a byte beyond an event is seen");
	spoilt = event;
	spoilt.time_label += 3600 * 1000000000ll;
	tell(judged(spoilt, 0), "an event that is yet to come is seen");
}

// --- errnos ------------------------------------------------------------------------------------

// The names in the tables of results, request by request.
std::set<std::string> documented_errors(const char *path, const std::string &request)
{
	static const std::regex row(R"re(^   "(E[A-Z]+)",.*)re");
	std::ifstream page(path);
	std::set<std::string> names;
	std::string line, before, section;
	std::smatch match;

	while (std::getline(page, line)) {
		if (!line.empty() && line.find_first_not_of("-=") == std::string::npos)
			section = before;
		else if (section == request && std::regex_match(line, match, row))
			names.insert(match[1]);
		before = line;
	}
	return names;
}

void compare_errors(const char *path)
{
	for (unsigned request = 0; request < kRequests; request++) {
		std::set<std::string> names = documented_errors(path, name_of(request));
		const bool found = request == kVersion || !names.empty();
		names.insert({"EFAULT", "ENOMEM"});
		bool same = found;
		for (int error = 1; error < 4096; error++) {
			const char *name = strerrorname_np(error);
			const bool told = name && names.contains(name);
			same &= told == is_documented(request, error);
		}
		tell(same, std::string(name_of(request)) + " may fail as uapi.rst says");
	}
	Scene take(kTake);
	passes("an errno of the request passes", take, -ENOSPC);
	is_seen("an errno of another request is seen", take, -ENOBUFS);
	is_seen("an errno of the kernel's own is seen", take, -512);
	is_seen("a request that is not known is seen", take, -ENOTTY);
}

} // namespace

int main(int argc, char **argv)
{
	judge_trackers();
	judge_others();
	judge_maps();
	judge_events();
	if (argc == 2)
		compare_errors(argv[1]);
	std::printf("judge: %u mistakes\n", failures);
	return failures ? 1 : 0;
}
