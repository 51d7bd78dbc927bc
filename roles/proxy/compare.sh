# Which of these files are on the node as they should be. Their texts come by stdin, one after the other, and are compared here:
# not even a hash of a secret leaves the node.
for one in $FILES; do
  file=${one%:*}
  text=$(head -c "${one##*:}" && echo .)
  if printf '%s' "${text%.}" | cmp -s - "$file" && [ "$(stat -c '%a %u' "$file")" = "600 $(id -u)" ]; then echo "same $file"; fi
done
