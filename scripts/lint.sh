#!/usr/bin/env bash
# Cheap rules of the house: formatting, file size, includes that cost compile time.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
complain() { echo "lint: $*"; bad=1; }
mapfile -t sources < <(git ls-files '*.h' '*.cc')
if ! clang-format-14 --dry-run -Werror "${sources[@]}" > /tmp/merit-lint.$$ 2>&1; then
  complain "run 'make fmt': $(grep -oE '^[^:]+' /tmp/merit-lint.$$ | sort -u | head -n 5 | tr '\n' ' ')"
fi
rm -f /tmp/merit-lint.$$
for file in "${sources[@]}"; do
  lines=$(wc -l < "$file")
  [ "$lines" -le 800 ] || complain "$file has $lines lines: which two ideas are inside?"
done
while read -r file; do complain "$file includes torch/torch.h (14 s a file)"; done < <(grep -l 'torch/torch.h' "${sources[@]}")
for module in core text data formats verify task stats search report; do
  while read -r file; do complain "$file: a torch-free module includes ATen"; done \
    < <(grep -lE '#include [<"](ATen|c10|torch)/' src/merit/$module/*.h src/merit/$module/*.cc 2>/dev/null)
done
[ $bad -eq 0 ] && echo "lint: clean"
exit $bad
