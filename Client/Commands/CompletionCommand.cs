using System.CommandLine;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate completion</c>: scripts that ask this command itself what may stand at the cursor.</summary>
internal static class CompletionCommand
{
    // The parser answers "distmigrate [suggest:POSITION] LINE" with one word to a line.
    private const string Bash = """
        # eval "$(distmigrate completion bash)"
        _distmigrate() {
            local IFS=$'\n'
            local words
            words=$(distmigrate "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)
            COMPREPLY=($(compgen -W "${words}" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _distmigrate distmigrate
        """;

    private const string Zsh = """
        # eval "$(distmigrate completion zsh)"
        _distmigrate() {
            local -a words
            words=("${(@f)$(distmigrate "[suggest:${#BUFFER}]" "${BUFFER}" 2>/dev/null)}")
            words=(${words:#})
            if (( ${#words} )); then compadd -- "${words[@]}"; else _files; fi
        }
        compdef _distmigrate distmigrate
        """;

    private const string Fish = """
        # distmigrate completion fish | source
        function __distmigrate_complete
            set -l line (commandline --cut-at-cursor)
            distmigrate "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
        end
        complete -c distmigrate -a '(__distmigrate_complete)'
        """;

    public static Command Create(CommandRunner runner)
    {
        var shell = new Argument<string>("SHELL") { Description = "Which shell" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "Print the script that completes this command in a shell; its first line says how to use it.")
        {
            shell,
        };
        runner.Attach(command, invocation =>
        {
            invocation.Terminal.Data(invocation.Get(shell) switch
            {
                "bash" => Bash,
                "zsh" => Zsh,
                _ => Fish,
            });
            return Task.FromResult(ExitCode.Ok);
        });
        return command;
    }
}
