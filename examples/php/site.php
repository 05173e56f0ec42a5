<?php
// A site with a login on clients/php; from a checkout:
//
//     php -S localhost:8000 examples/php/site.php     then http://localhost:8000: ann, password apple
declare(strict_types=1);

// With Composer: require __DIR__ . '/vendor/autoload.php';
require __DIR__ . '/../../clients/php/autoload.php';

use TokenCache\Session;
use TokenCache\Settings;

const MOST_NOTE = 200;

function passwordIsRight(array $form): bool
{
    return [$form['name'] ?? '', $form['password'] ?? ''] === ['ann', 'apple'];
}

/** Carries out what was asked for; false where the form has to be shown again. */
function carriedOut(string $what, Session $session, array $form): bool
{
    // The second click of two has logged in already, whatever became of its form.
    if ($what === 'POST /login' && $session->user() !== null) {
        return true;
    }
    if (!$session->formPassed()) {
        return false;
    }
    if ($what === 'POST /login' && passwordIsRight($form)) {
        $session->login($form['name']);
        return true;
    }
    $note = (string) ($form['note'] ?? '');
    if ($what === 'POST /note' && $session->user() !== null && strlen($note) <= MOST_NOTE) {
        $_SESSION['note'] = $note;
        return true;
    }
    if ($what === 'POST /logout') {
        $session->logout();
        return true;
    }
    return false;
}

// development: a cookie for http://localhost. Leave it out where the site has HTTPS.
$session = Session::start(new Settings(
    socket: getenv('TOKENCACHED_SOCKET') ?: '/run/tokencached/tokencached.sock',
    development: true,
));
$form = array_filter($_POST, is_string(...));
if (carriedOut("$_SERVER[REQUEST_METHOD] " . explode('?', $_SERVER['REQUEST_URI'])[0], $session, $form)) {
    header('Location: /', true, 303);
    exit;
}
$user = $session->user();
?>
<!doctype html>
<title>Sessions</title>
<p><?= $form ? 'Please send it again.' : '' ?> Hello, <b><?= htmlspecialchars($user ?? 'guest') ?></b>.</p>
<?php if ($user === null): ?>
<form method="post" action="/login"><?= $session->csrfField() ?>
    <input name="name" value="<?= htmlspecialchars($form['name'] ?? '') ?>">
    <input name="password" type="password"> <button>Log in</button>
</form>
<?php else: ?>
<form method="post" action="/note"><?= $session->csrfField() ?>
    <input name="note" value="<?= htmlspecialchars($form['note'] ?? $_SESSION['note'] ?? '') ?>"> <button>Keep</button>
</form>
<form method="post" action="/logout"><?= $session->csrfField() ?> <button>Log out</button></form>
<?php endif ?>
