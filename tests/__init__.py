from tests import typechecker as typechecker  # jaxtyping's hook imports the package alone
