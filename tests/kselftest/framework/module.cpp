// SPDX-License-Identifier: GPL-2.0
#include "module.hpp"

#include "control.hpp"
#include "file.hpp"
#include "kselftest.hpp"
#include "process.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace kselftest::module
{

namespace
{

constexpr const char *kDirectory = "/sys/module/blksnap";
constexpr double kPatienceSeconds = 10;

std::string file()
{
	if (const char *named = std::getenv("BLKSNAP_MODULE"); named && *named)
		return named;
	Run found = run({"modinfo", "-n", "blksnap"});
	while (!found.output.empty() && found.output.back() == '\n')
		found.output.pop_back();
	return found.status == 0 ? found.output : "";
}

} // namespace

bool is_loaded()
{
	return exists(kDirectory);
}

// Not by modprobe: that does not pass on the errno.
int load(const std::string &parameters)
{
	const std::string path = file();
	const int fd = path.empty() ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return ENOENT;
	const bool plain = path.ends_with(".ko");
	constexpr int kCompressed = 4; // MODULE_INIT_COMPRESSED_FILE
	const long result =
		syscall(SYS_finit_module, fd, parameters.c_str(), plain ? 0 : kCompressed);
	const int error = result ? errno : 0;
	close(fd);
	return error;
}

int try_unload()
{
	return syscall(SYS_delete_module, "blksnap", O_NONBLOCK) ? errno : 0;
}

int unload()
{
	int error = 0;

	if (!is_loaded())
		return 0;
	wait_until(
		[&] {
			error = try_unload();
			return error != EWOULDBLOCK && error != EBUSY;
		},
		kPatienceSeconds);
	return error;
}

std::string make_ready()
{
	if (geteuid() != 0)
		return "only root can run this";
	if (!is_loaded()) {
		const int error = load();
		if (error == ENOENT)
			return "there is no module blksnap; name its file in BLKSNAP_MODULE";
		if (error)
			return "the module cannot be loaded: " + errno_text(error);
	}
	if (!wait_until([] { return exists("/dev/blksnap"); }))
		return "there is no /dev/blksnap";
	const Control control;
	if (control.snapshots() || control.trackers())
		return "somebody uses blksnap here: there are snapshots or trackers";
	return "";
}

std::vector<std::string> parameters()
{
	std::vector<std::string> names;

	for (const auto &entry :
	     std::filesystem::directory_iterator(std::string(kDirectory) + "/parameters"))
		names.push_back(entry.path().filename());
	return names;
}

std::string parameter(const std::string &name)
{
	return read_line(std::string(kDirectory) + "/parameters/" + name);
}

int set_parameter(const std::string &name, const std::string &value)
{
	return write_file(std::string(kDirectory) + "/parameters/" + name, value);
}

Parameter::Parameter(const std::string &name, const std::string &value)
	: name_(name), before_(parameter(name))
{
	if (const int error = set_parameter(name, value))
		throw std::system_error(error, std::generic_category(), name + "=" + value);
}

Reload::Reload()
{
	for (const std::string &name : parameters())
		before_ += name + "=" + parameter(name) + " ";
}

Reload::~Reload()
{
	if (const int error = unload())
		note("the module cannot be unloaded: %s", errno_text(error).c_str());
	else if (const int load_error = load(before_))
		note("the module cannot be loaded again: %s", errno_text(load_error).c_str());
}

} // namespace kselftest::module
