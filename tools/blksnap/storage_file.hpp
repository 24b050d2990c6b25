// SPDX-License-Identifier: GPL-2.0
//
// StorageFiles: the files that the stretch service makes, and removes when nothing needs them.
#ifndef BLKSNAP_STORAGE_FILE_HPP
#define BLKSNAP_STORAGE_FILE_HPP

#include <blksnap/file_extents.hpp>

#include <string>
#include <vector>

namespace blksnap::command
{

struct StorageFile {
	std::string path;
	FileExtents extents;
};

class StorageFiles final
{
public:
	// @limit_bytes: of all files together
	StorageFiles(std::string directory, std::uint64_t limit_bytes);

	// Allocates a new file of that size, or of what the limit leaves. Throws Error.
	const StorageFile &add(std::uint64_t sectors);

	// Whether the limit leaves nothing. What was added stays until the end, so it is final.
	bool is_full() const;

	// Removes the last file, which the module did not take.
	void discard_last();

	// Removes all files. Only when the snapshot is gone: the module writes below the file
	// system.
	void remove_all();

private:
	std::string create_empty();

	std::string directory_;
	std::uint64_t free_bytes_;
	unsigned next_number_ = 0;
	std::vector<StorageFile> files_;
};

} // namespace blksnap::command

#endif
