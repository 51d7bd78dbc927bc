# The plan's command, read by the image's own engine: only when asked for (it starts a container for some seconds).
# PARSE=1 takes an engine that runs for an answer; PARSE=beside asks all the same, for a change is about to end it.
if [ -n "${PARSE:-}" ] && [ "$RUNTIME" = docker ] && have docker && timeout 10 docker image inspect "$IMAGE" >/dev/null 2>&1; then
  if [ "$PARSE" = 1 ] && [ "$(timeout 10 docker inspect -f '{{.State.Running}}' "$UNIT" 2>/dev/null)" = true ]; then
    say image.parse 0 running
  else
    printf '%sask image.parse\n' "$mark"
    # A late answer to another question may come first: only the one that names this question is taken.
    image_run=
    while IFS= read -r image_answer; do
      case $image_answer in "image.parse "*) image_run=$(printf '%s' "${image_answer#* }" | base64 -d 2>/dev/null); break ;; '') break ;; esac
    done
    if [ -n "$image_run" ]; then
      image_out=$(eval "$image_run" 2>&1 </dev/null)
      image_code=$?
      image_verdict=$(printf '%s\n' "$image_out" | sed -n 's/^BRINGUP-PARSE //p' | tail -n 1)
      say image.parse "$image_code" "${image_verdict:-$(printf '%s\n' "$image_out" | tail -n 3)}"
    fi
  fi
fi
