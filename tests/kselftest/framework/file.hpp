// SPDX-License-Identifier: GPL-2.0
//
// Small files of sysfs, procfs and configfs.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

namespace kselftest
{

// The first line, empty if there is no such file.
inline std::string read_line(const std::string &path)
{
	std::ifstream file(path);
	std::string line;

	std::getline(file, line);
	return line;
}

// Return: 0 or an errno.
inline int write_file(const std::string &path, const std::string &text)
{
	const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	const ssize_t written = write(fd, text.data(), text.size());
	const int error = written < 0 ? errno : 0;
	close(fd);
	return error;
}

inline bool exists(const std::string &path)
{
	return access(path.c_str(), F_OK) == 0;
}

} // namespace kselftest
