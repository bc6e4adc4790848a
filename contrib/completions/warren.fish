# Completion of warren and warren-wg for fish. Written by scripts/completions.ts: change the commands, not this.

function __warren_configs
    set -l files /etc/wireguard/*.conf /etc/warren/*.conf
    string replace -r '.*/(.*)\.conf$' '$1' -- $files
end

# The configurations, and the folders on the way to some, that begin with the word so far.
function __warren_conf_files
    set -l word (commandline -ct)
    set -l files $word*.conf $word*/
    string join \n -- $files
end

function __warren_interfaces
    set -l files /var/run/wireguard/*.sock
    string replace -r '.*/(.*)\.sock$' '$1' -- $files
end

# Whether the words so far lead to this command.
function __warren_at
    set -l path
    for word in (commandline -opc)[2..-1]
        set -l longer (string join -- ' ' $path $word)
        contains -- "$longer" 'lab' 'up' 'down' 'reload' 'show' 'trace' 'relay' 'classic' 'classic server' 'classic client' 'classic help' 'genkey' 'genpsk' 'pubkey' 'doctor' 'help'; and set path $longer
    end
    test "$path" = "$argv[1]"
end

complete -c warren -f
complete -c warren -n '__warren_at \'\'' -a lab -d 'watch a VPN work between hosts made on this machine, as root or as an ordinary user'
complete -c warren -n '__warren_at \'\'' -a up -d 'bring up a tunnel from a wg-quick file, and leave it to run'
complete -c warren -n '__warren_at \'\'' -a down -d 'end a tunnel and undo all that was done for it, also after a crash'
complete -c warren -n '__warren_at \'\'' -a reload -d 'apply a changed configuration file to a live tunnel without ending its sessions'
complete -c warren -n '__warren_at \'\'' -a show -d 'show the tunnels that are up, warren\'s and those of other userspace programs'
complete -c warren -n '__warren_at \'\'' -a trace -d 'watch what passes a tunnel that is up, inside and outside, until Ctrl-C'
complete -c warren -n '__warren_at \'\'' -a relay -d 'carry WireGuard over TCP, TLS or WebSocket until Ctrl-C, for networks that block UDP'
complete -c warren -n '__warren_at \'\'' -a classic -d 'the teaching VPN: XOR over TCP, which protects nothing'
complete -c warren -n '__warren_at \'\'' -a genkey -d 'print a new private key'
complete -c warren -n '__warren_at \'\'' -a genpsk -d 'print a new preshared key'
complete -c warren -n '__warren_at \'\'' -a pubkey -d 'read a private key from standard input and print its public key'
complete -c warren -n '__warren_at \'\'' -a doctor -d 'say what this machine offers a tunnel, and what is missing'
complete -c warren -n '__warren_at \'\'' -a help -d 'display help for command'
complete -c warren -n '__warren_at \'\'' -s V -l version -d 'print the version'
complete -c warren -n '__warren_at \'\'' -l verbose -d 'say more about what went wrong'
complete -c warren -n '__warren_at \'\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'lab\'' -l stage -r -f -a 'wireguard tun prefix classic framing xor noise replay mtu' -d 'what to see'
complete -c warren -n '__warren_at \'lab\'' -l json -d 'one JSON object on standard output, and nothing else (docs/lab.md)'
complete -c warren -n '__warren_at \'lab\'' -l trace -d 'follow one ping through every place where it can be seen, and its reply back'
complete -c warren -n '__warren_at \'lab\'' -l shell -d 'be on the client, in a shell, while the VPN is up'
complete -c warren -n '__warren_at \'lab\'' -l break -r -f -a 'nat route key dns forward checksum' -d 'damage one thing: the lab must then fail, and say where'
complete -c warren -n '__warren_at \'lab\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'up\'' -s f -l foreground -d 'stay in the foreground until Ctrl-C'
complete -c warren -n '__warren_at \'up\'' -l forward -d 'forward what peers send, hidden behind this machine\'s addresses (NAT)'
complete -c warren -n '__warren_at \'up\'' -l kill-switch -d 'let nothing leave but through the tunnel, also after a crash, until `warren down`'
complete -c warren -n '__warren_at \'up\'' -l kill-switch-lan -d 'the same, but for the local network: private and link-local addresses'
complete -c warren -n '__warren_at \'up\'' -l name -r -f -d 'the interface\'s name; otherwise the file\'s without .conf, or wg0, wg1 … for -'
complete -c warren -n '__warren_at \'up\'' -l json -d 'one JSON object a line: ready, then, in the foreground, stopped'
complete -c warren -n '__warren_at \'up\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'up\'' -f -a '(__warren_configs) (__warren_conf_files)'
complete -c warren -n '__warren_at \'down\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'down\'' -f -a '(__warren_interfaces) (__warren_conf_files)'
complete -c warren -n '__warren_at \'reload\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'reload\'' -f -a '(__warren_interfaces) (__warren_conf_files)'
complete -c warren -n '__warren_at \'show\'' -l json -d 'one JSON array'
complete -c warren -n '__warren_at \'show\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'show\'' -f -a '(__warren_interfaces)'
complete -c warren -n '__warren_at \'trace\'' -l pcap -r -F -d 'keep what was seen in a new file, for Wireshark and tcpdump'
complete -c warren -n '__warren_at \'trace\'' -l force -d 'replace that file if it exists'
complete -c warren -n '__warren_at \'trace\'' -l count -r -f -d 'end after so many packets'
complete -c warren -n '__warren_at \'trace\'' -l json -d 'one JSON object a line (docs/trace.md)'
complete -c warren -n '__warren_at \'trace\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'trace\'' -f -a '(__warren_interfaces)'
complete -c warren -n '__warren_at \'relay\'' -l cert -r -F -d 'server: the certificate with its chain, PEM; SIGHUP reads it again'
complete -c warren -n '__warren_at \'relay\'' -l key -r -F -d 'server: the certificate\'s key, PEM'
complete -c warren -n '__warren_at \'relay\'' -l web-page -r -F -d 'server: a file or folder to show to whoever comes with a browser'
complete -c warren -n '__warren_at \'relay\'' -l ca -r -F -d 'client: trust these certificates, PEM, instead of the machine\'s own authorities'
complete -c warren -n '__warren_at \'relay\'' -l server-name -r -f -d 'client: the name to ask for and to check, instead of the endpoint\'s host'
complete -c warren -n '__warren_at \'relay\'' -l insecure-accept-any-certificate -d 'client: do not check whose the server\'s certificate is'
complete -c warren -n '__warren_at \'relay\'' -l path-file -r -F -d 'read the WebSocket\'s path from a file, so that no list of processes shows it'
complete -c warren -n '__warren_at \'relay\'' -l mark -r -f -d 'firewall mark of the relay\'s own sockets'
complete -c warren -n '__warren_at \'relay\'' -l max-connections -r -f -d 'server: connections at one time (256)'
complete -c warren -n '__warren_at \'relay\'' -l max-per-source -r -f -d 'server: connections from one address at one time (32)'
complete -c warren -n '__warren_at \'relay\'' -l max-apps -r -f -d 'client: UDP addresses served at one time (64)'
complete -c warren -n '__warren_at \'relay\'' -l idle -r -f -d 'end a connection on which nothing came or went for so long (600)'
complete -c warren -n '__warren_at \'relay\'' -l json -d 'one JSON object a line: ready, connected, closed, retrying, refused, stopped'
complete -c warren -n '__warren_at \'relay\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'classic\'' -a server -d 'wait for clients until Ctrl-C'
complete -c warren -n '__warren_at \'classic\'' -a client -d 'connect to a server, again and again, until Ctrl-C'
complete -c warren -n '__warren_at \'classic\'' -a help -d 'display help for command'
complete -c warren -n '__warren_at \'classic\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'classic server\'' -l tun -r -f -d 'the interface\'s name'
complete -c warren -n '__warren_at \'classic server\'' -l address -r -f -d 'an address of the interface, such as 10.8.0.1/24 (repeatable)'
complete -c warren -n '__warren_at \'classic server\'' -l verbose -d 'print a line for each packet, as it is read and received'
complete -c warren -n '__warren_at \'classic server\'' -l listen -r -f -d 'the address, and the port if not 5555, to listen on'
complete -c warren -n '__warren_at \'classic server\'' -l nat -d 'forward what clients send, hidden behind this machine\'s addresses'
complete -c warren -n '__warren_at \'classic server\'' -l i-know-this-is-not-encryption -d 'listen on a public address, too'
complete -c warren -n '__warren_at \'classic server\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'classic client\'' -l tun -r -f -d 'the interface\'s name'
complete -c warren -n '__warren_at \'classic client\'' -l address -r -f -d 'an address of the interface, such as 10.8.0.1/24 (repeatable)'
complete -c warren -n '__warren_at \'classic client\'' -l verbose -d 'print a line for each packet, as it is read and received'
complete -c warren -n '__warren_at \'classic client\'' -l route -r -f -d 'what to reach through the server, such as 8.8.8.8/32 or 0.0.0.0/0 (repeatable)'
complete -c warren -n '__warren_at \'classic client\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'classic help\'' -f -a 'server client'
complete -c warren -n '__warren_at \'genkey\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'genpsk\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'pubkey\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'doctor\'' -s h -l help -d 'print this help, or a command\'s'
complete -c warren -n '__warren_at \'help\'' -f -a 'lab up down reload show trace relay classic genkey genpsk pubkey doctor'

complete -c warren-wg -f
complete -c warren-wg -s f -l foreground -d 'stay in the foreground'
complete -c warren-wg -s h -l help -d 'print how to use it'
complete -c warren-wg -s V -l version -d 'print the version'
