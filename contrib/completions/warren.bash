# Completion of warren and warren-wg for bash. Written by scripts/completions.ts: change the commands, not this.

_warren_words() {
  local word
  while read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}")
}

_warren_files() {
  local word
  compopt -o filenames 2>/dev/null
  while read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
}

_warren_names() {
  local file names=""
  for file in "$@"; do
    [ -e "$file" ] || continue
    file=${file##*/}
    names+=" ${file%.*}"
  done
  _warren_words "$names"
}

_warren_conf_files() {
  local word
  compopt -o filenames 2>/dev/null
  while read -r word; do COMPREPLY+=("$word"); done < <(
    compgen -f -X "!*.conf" -- "${COMP_WORDS[COMP_CWORD]}"
    compgen -d -- "${COMP_WORDS[COMP_CWORD]}"
  )
}

_warren_configs() {
  _warren_names /etc/wireguard/*.conf /etc/warren/*.conf
  _warren_conf_files
}

_warren_running() {
  _warren_interfaces
  _warren_conf_files
}

_warren_interfaces() { _warren_names /var/run/wireguard/*.sock; }

_warren() {
  local path="" longer word previous=${COMP_WORDS[COMP_CWORD - 1]} current=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    longer="${path:+$path }$word"
    case "$longer" in
    "lab" | "up" | "down" | "reload" | "show" | "trace" | "relay" | "classic" | "classic server" | "classic client" | "classic help" | "genkey" | "genpsk" | "pubkey" | "doctor" | "help") path=$longer ;;
    esac
  done
  case "$path $previous" in
    "lab --stage") _warren_words "wireguard tun prefix classic framing xor noise replay mtu"; return ;;
    "lab --break") _warren_words "nat route key dns forward checksum"; return ;;
    "up --name") :; return ;;
    "trace --pcap") _warren_files; return ;;
    "trace --count") :; return ;;
    "relay --cert") _warren_files; return ;;
    "relay --key") _warren_files; return ;;
    "relay --web-page") _warren_files; return ;;
    "relay --ca") _warren_files; return ;;
    "relay --server-name") :; return ;;
    "relay --path-file") _warren_files; return ;;
    "relay --mark") :; return ;;
    "relay --max-connections") :; return ;;
    "relay --max-per-source") :; return ;;
    "relay --max-apps") :; return ;;
    "relay --idle") :; return ;;
    "classic server --tun") :; return ;;
    "classic server --address") :; return ;;
    "classic server --listen") :; return ;;
    "classic client --tun") :; return ;;
    "classic client --address") :; return ;;
    "classic client --route") :; return ;;
  esac
  case "$path" in
    "") _warren_words "lab up down reload show trace relay classic genkey genpsk pubkey doctor help -V --version --verbose -h --help" ;;
    "lab") _warren_words "--stage --json --trace --shell --break -h --help" ;;
    "up") case "$current" in -*) _warren_words "-f --foreground --forward --kill-switch --kill-switch-lan --name --json -h --help" ;; *) _warren_configs ;; esac ;;
    "down") case "$current" in -*) _warren_words "-h --help" ;; *) _warren_running ;; esac ;;
    "reload") case "$current" in -*) _warren_words "-h --help" ;; *) _warren_running ;; esac ;;
    "show") case "$current" in -*) _warren_words "--json -h --help" ;; *) _warren_interfaces ;; esac ;;
    "trace") case "$current" in -*) _warren_words "--pcap --force --count --json -h --help" ;; *) _warren_interfaces ;; esac ;;
    "relay") _warren_words "--cert --key --web-page --ca --server-name --insecure-accept-any-certificate --path-file --mark --max-connections --max-per-source --max-apps --idle --json -h --help" ;;
    "classic") _warren_words "server client help -h --help" ;;
    "classic server") _warren_words "--tun --address --verbose --listen --nat --i-know-this-is-not-encryption -h --help" ;;
    "classic client") _warren_words "--tun --address --verbose --route -h --help" ;;
    "classic help") case "$current" in -*) _warren_words "" ;; *) _warren_words "server client" ;; esac ;;
    "genkey") _warren_words "-h --help" ;;
    "genpsk") _warren_words "-h --help" ;;
    "pubkey") _warren_words "-h --help" ;;
    "doctor") _warren_words "-h --help" ;;
    "help") case "$current" in -*) _warren_words "" ;; *) _warren_words "lab up down reload show trace relay classic genkey genpsk pubkey doctor" ;; esac ;;
  esac
}

_warren_wg() {
  COMPREPLY=()
  _warren_words "-f --foreground -h --help -V --version"
}

complete -F _warren warren
complete -F _warren_wg warren-wg
