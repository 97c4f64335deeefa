// The style and the script of every page, written into it.
#pragma once

namespace merit::report {

extern const char* const kPageStyle;
extern const char* const kPageScript;

}  // namespace merit::report
