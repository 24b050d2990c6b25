// SPDX-License-Identifier: GPL-2.0
//
// Scratch: the directory for files of the tests, gone at the end of the area. $TMPDIR or /tmp holds
// it; what is large there is sparse.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace kselftest
{

inline std::string &scratch_directory()
{
	static std::string path;
	return path;
}

class Scratch
{
public:
	Scratch()
	{
		const char *base = std::getenv("TMPDIR");
		std::string path = std::string(base && *base ? base : "/tmp") + "/kselftest-XXXXXX";
		if (!mkdtemp(path.data()))
			throw std::runtime_error("cannot make a directory like " + path);
		scratch_directory() = path;
	}
	~Scratch()
	{
		std::error_code ignored;
		std::filesystem::remove_all(scratch_directory(), ignored);
	}
	Scratch(const Scratch &) = delete;
	Scratch &operator=(const Scratch &) = delete;
};

} // namespace kselftest
