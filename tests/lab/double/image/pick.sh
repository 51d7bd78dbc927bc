#!/bin/sh
# Copies into $1 what the double and a plan's setup script need of this system, with the libraries these are linked to.
set -eu
out=$1
mkdir -p "$out/usr/bin" "$out/usr/lib" "$out/tmp" "$out/root" "$out/var/tmp"
chmod 1777 "$out/tmp" "$out/var/tmp"
ln -s usr/bin "$out/bin" && ln -s usr/lib "$out/lib" && ln -s usr/lib64 "$out/lib64"
take() { cp -a --parents "$@" "$out"; }

for name in python3 python3.11 sh dash bash awk mawk env cat ls ln cp mv rm mkdir chmod sleep date stat head tail grep sed tr wc id true false \
  timeout sort uniq printf readlink dirname basename; do
  take "/usr/bin/$name"
  [ ! -L "/usr/bin/$name" ] || take "$(readlink -f "/usr/bin/$name")"
done
take /etc/passwd /etc/group /etc/nsswitch.conf /etc/alternatives/awk /usr/lib/python3.11 /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
cd "$out/usr/lib/python3.11"
rm -rf test unittest pydoc_data idlelib ensurepip lib2to3 distutils xml tkinter config-3.11-* dist-packages lib-dynload/_tkinter*
# Lines such as "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)", and the loader's own.
find "$out/usr/bin" "$out/usr/lib" -type f '(' -path "*/bin/*" -o -name '*.so*' ')' -exec ldd {} + 2> /dev/null \
  | grep -oE '(=> |^\s)/lib[^ ]+ ' | grep -oE '/lib[^ ]+' | sort -u | while read -r library; do
  mkdir -p "$out/usr$(dirname "$library")"
  cp "$(readlink -f "$library")" "$out/usr$library"
done
chroot "$out" python3 -c 'import ctypes, hashlib, http.server, multiprocessing, ssl'
