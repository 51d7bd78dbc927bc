# NPU to NPU: when all nodes have shown their addresses, the controller says who pings whom.
case $VENDOR/${FABRIC:-}/${PEERS:+several} in ascend/rail/several | ascend/full/several)
  if [ -z "$acc_tool" ]; then
    say fabric 127 'hccn_tool: not found'
  elif acc_serving; then
    say fabric 0 'skip serving'
  else
    say fabric.mode 0 "$FABRIC"
    printf '%sask fabric\n' "$mark"
    # The controller ends a probe after three minutes: others are waited for, and pings made, within what is left.
    acc_clock
    acc_wait=$((acc_began + 120 - acc_now))
    [ "$acc_wait" -ge 20 ] || acc_wait=20
    acc_wanted=$(timeout -k 1 "$acc_wait" sed '/^end$/q; /^$/q')
    case $acc_wanted in
    *end)
      say fabric 0 asked
      acc_until=$((acc_began + 160)) acc_patience=5
      printf '%s\n' "$acc_wanted" | while read -r acc_kind acc_card acc_to acc_more; do
        case $acc_kind in ping | hccs_ping)
          acc_hccn "fabric.$acc_kind.$acc_card.$acc_to" -i "$acc_card" "-$acc_kind" -g address "$acc_to"
          ;;
        esac
      done
      ;;
    *) say fabric 1 'no partner' ;;
    esac
  fi
  ;;
esac
